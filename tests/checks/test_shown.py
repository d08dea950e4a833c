"""Each reason of health: a machine without it, one with it, and one of which it is not known; all three told apart."""

from typing import Final

import pytest
from msgspec.structs import replace

from nvtopo.checks.check import Machine
from nvtopo.checks.report import of_node
from nvtopo.findings import of_health
from nvtopo.model.conclusions.health_kinds import KINDS, Code
from nvtopo.model.records.expected import Expected, PcieExpectation, VersionExpectation
from nvtopo.model.records.node import NodeTopology
from tests.checks.recorded import machine_of, report_of, snapshot_of
from tests.model.test_health import CASES

#: What is about the input itself: it is found, or the input shows all.
_OF_INPUT: Final = frozenset({"not-shown", "facts-unread", "side-facts-unread"})
_DUE: Final = Expected(
    gpus=8,
    nics=8,
    rails=8,
    mtu_bytes=9000,
    rdma_mtu_bytes=4096,
    gid_index=3,
    pcie=PcieExpectation(width=16),
    versions=VersionExpectation(driver="580.105.08"),
)
_EACH: Final = pytest.mark.parametrize("code", KINDS)


def _good(code: Code) -> NodeTopology:
    """A machine that shows what the reason is about, and has all that is expected of it."""
    shape = "h100-sxm-8gpu-8cx7" if not code.startswith(("fabric", "domains")) else "gb200-nvl72-tray"
    node = machine_of(snapshot_of(shape)).node
    if not of_health.needs_expectation(code):
        return node
    ports = tuple(
        replace(nic, ports=tuple(replace(port, active_mtu_bytes=4096) for port in nic.ports)) for nic in node.nics
    )
    return replace(node, nics=ports, expected=_DUE)


@_EACH
def test_it_passes(code: Code) -> None:
    assert of_node(Machine(_good(code))).checks[code] == "passed"


@_EACH
def test_it_is_found(code: Code) -> None:
    outcome = of_node(Machine(CASES[code].node)).checks[code]
    assert outcome == ("unknown" if of_health.severity(code) is None else "failed")


@pytest.mark.parametrize("code", [code for code in KINDS if code not in _OF_INPUT])
def test_it_is_not_known_of_an_input_that_shows_nothing(code: Code) -> None:
    dark = NodeTopology(unseen=("gpus", "nics", "paths", "health"), nvlink_hidden=True, expected=_DUE)
    report = of_node(Machine(dark))
    assert report.checks[code] == "unknown"
    assert [one.reason for one in report.unknown if one.id == code]


def test_nothing_of_its_gpus_passes_where_no_driver_answers() -> None:
    report = report_of("h100-no-driver")
    passed = {code for code in KINDS if report.checks[code] == "passed"}
    assert not {code for code in passed if code.startswith(("nvlink", "fabric", "gpu-", "domains"))}
    assert report.checks["driver-problem"] == "failed"


def test_nothing_of_gpus_applies_to_a_machine_that_has_none() -> None:
    report = report_of("laptop-no-gpu")
    assert {report.checks[code] for code in KINDS if code.startswith(("nvlink", "fabric-"))} == {"not-applicable"}


def test_what_a_policy_does_not_state_is_not_judged() -> None:
    node = replace(_good("mtu-differs"), expected=Expected(gpus=8))
    report = of_node(Machine(node))
    assert (report.checks["gpus-missing"], report.checks["mtu-differs"]) == ("passed", "not-applicable")


def test_a_value_that_is_expected_and_not_shown_does_not_pass() -> None:
    node = _good("mtu-differs")
    dark = replace(node, nics=tuple(replace(nic, mtu_bytes=None) for nic in node.nics))
    assert of_node(Machine(dark)).checks["mtu-differs"] == "unknown"
