"""What a machine lacks of what is expected of it: each field of an expectation, met, unmet and not known."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.model.conclusions import health_words, unmet
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.conclusions.health_kinds import KINDS
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.records.expected import Expectation, Expected
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import FIXTURES

_NAMES: Final = ("h100-sxm-8gpu-8cx7", "h100-nvl-pairs", "gb200-nvl72-tray", "h100-one-link-down")
_SNAPSHOTS: Final = {
    name: parse_capture((FIXTURES / "hosts" / name / "capture.json").read_bytes(), name) for name in _NAMES
}
_NODES: Final = {name: assemble(snapshot) for name, snapshot in _SNAPSHOTS.items()}
_BOARD: Final = "h100-sxm-8gpu-8cx7"


def expecting(name: str, expected: Mapping[str, Any]) -> NodeTopology:
    node = replace(_NODES[name], expected=msgspec.convert(expected, Expected))
    return unmet.with_links(node, functions_of(_SNAPSHOTS[name]))


def codes(derived: Derived) -> set[str]:
    return {reason.code for reason in derived.health.reasons}


def words(derived: Derived) -> str:
    return "; ".join(health_words.sentence(reason) for reason in derived.health.reasons)


def board() -> dict[str, Any]:
    """What the recorded board really has, of each field."""
    node = _NODES[_BOARD]
    found = derive(node)
    (rail, *_) = found.rails
    nic = next(nic for nic in node.nics if nic.name == rail)
    return {
        "gpus": len(node.gpus),
        "nics": len(node.nics),
        "rails": len(found.rails),
        "nvlinksPerGpu": 18,
        "mtuBytes": nic.mtu_bytes,
        "gidIndex": nic.ports[0].gid_index,
        "pcie": {"width": 16, "generation": 5},
        "versions": {
            "driver": node.host.driver_version,
            "cuda": node.host.cuda_version,
            "kernel": node.host.kernel,
        },
    }


def test_a_machine_that_is_as_expected_is_well() -> None:
    found = derive(expecting(_BOARD, board()))
    assert (found.health.ready, found.health.level, found.health.reasons) == (True, "ok", ())


@pytest.mark.parametrize(
    ("expected", "code", "ready", "says"),
    [
        ({"gpus": 9}, "gpus-missing", False, "this node has 8 of 9 GPUs"),
        ({"nics": 99}, "nics-missing", True, "of 99 NICs"),
        ({"rails": 9}, "rails-missing", False, "this node has 8 of 9 rails"),
        ({"nvlinksPerGpu": 20}, "nvlinks-missing", False, "GPU0 has 18 of 20 NVLinks"),
        ({"mtuBytes": 9216}, "mtu-differs", True, "and should have 9216"),
        ({"gidIndex": 7}, "gid-index-differs", False, "and should have 7"),
        ({"pcie": {"width": 32}}, "pcie-below-expected", True, "GPU0 has a PCIe link of x16, and should have x32"),
        ({"pcie": {"generation": 6}}, "pcie-below-expected", True, "generation 5, and should have generation 6"),
        ({"versions": {"driver": "1.0"}}, "version-differs", True, "and should have 1.0"),
        ({"versions": {"cuda": "1.0"}}, "version-differs", True, "has CUDA 13.0"),
        ({"versions": {"kernel": "1.0"}}, "version-differs", True, "has kernel "),
    ],
)
def test_each_field_that_is_not_met_is_a_reason(expected: dict[str, Any], code: str, ready: bool, says: str) -> None:
    found = derive(expecting(_BOARD, board() | expected))
    assert codes(found) == {code}
    assert found.health.ready is ready
    assert says in words(found)
    assert found.health.nvlink_degraded is (code == "nvlinks-missing")


def test_a_nic_in_a_narrow_slot_is_below_what_is_expected_and_not_below_its_best() -> None:
    found = derive(expecting(_BOARD, {"pcie": {"width": 32}}))
    nics = {reason.nic for reason in found.health.reasons if reason.nic is not None}
    assert nics == set(found.rails)
    assert found.nics_below_best == ()


def test_the_rdma_mtu_of_ports_that_are_up() -> None:
    node = _NODES[_BOARD]
    ports = [tuple(replace(port, active_mtu_bytes=1024) for port in nic.ports) for nic in node.nics]
    nics = tuple(replace(nic, ports=own) for nic, own in zip(node.nics, ports, strict=True))
    found = derive(replace(node, nics=nics, expected=Expected(rdma_mtu_bytes=4096)))
    assert codes(found) == {"rdma-mtu-differs"}
    assert "has an RDMA MTU of 1024, and should have 4096" in words(found)
    assert codes(derive(replace(node, expected=Expected(rdma_mtu_bytes=4096)))) == set()  # nobody asked verbs


def test_bridges_that_are_stated_are_missed_on_cards_that_nobody_saw_with_them() -> None:
    node = _NODES["h100-nvl-pairs"]
    down = tuple(
        replace(gpu, nvlinks=tuple(replace(bundle, state="inactive") for bundle in gpu.nvlinks)) for gpu in node.gpus
    )
    unknown = derive(replace(node, gpus=down))
    stated = derive(replace(node, gpus=down, expected=Expected(nvlinks_per_gpu=12)))
    assert (unknown.health.ready, unknown.health.nvlink_degraded) == (True, None)
    assert (stated.health.ready, stated.health.nvlink_degraded) == (False, True)
    assert "GPU0 has 0 of 12 NVLinks" in words(stated)


@pytest.mark.parametrize(("learned", "ready"), [((), True), (("nvlinksPerGpu",), False)])
def test_the_operator_s_word_excuses_a_link_and_what_was_learned_does_not(
    learned: tuple[str, ...], ready: bool
) -> None:
    node = replace(_NODES["h100-one-link-down"], expected=Expected(nvlinks_per_gpu=17, learned=learned))
    assert derive(node).health.ready is ready


@pytest.mark.parametrize(
    "change",
    [
        {"unseen": ("nics",)},
        {"problems": (Problem(source="net", subject="net", reason="no answer in time"),)},
    ],
)
def test_nics_that_are_not_read_are_not_missed(change: dict[str, Any]) -> None:
    node = replace(_NODES[_BOARD], expected=Expected(nics=99, rails=99), **change)
    assert codes(derive(node)).isdisjoint({"nics-missing", "rails-missing"})


def test_a_gid_that_could_not_be_read_is_not_another_one() -> None:
    node = _NODES[_BOARD]
    rail = next(iter(derive(node).rails))
    nics = tuple(
        replace(nic, ports=tuple(replace(port, gid_index=None) for port in nic.ports)) if nic.name == rail else nic
        for nic in node.nics
    )
    due = board()["gidIndex"]
    lost = replace(node, nics=nics, expected=Expected(gid_index=due))
    unread = replace(lost, problems=(Problem(source="rdma", subject=f"{rail}/1", reason="Input/output error"),))
    assert f"{rail} has GID index none, and should have {due}" in words(derive(lost))
    assert "gid-index-differs" not in codes(derive(unread))


_COUNTS: Final = st.none() | st.integers(0, 40)


@given(
    name=st.sampled_from(_NAMES),
    expected=st.builds(
        Expected,
        gpus=_COUNTS,
        nics=_COUNTS,
        rails=_COUNTS,
        nvlinks_per_gpu=_COUNTS,
        mtu_bytes=st.none() | st.sampled_from([1500, 4200, 9000]),
        gid_index=_COUNTS,
        learned=st.sampled_from([(), ("nvlinksPerGpu",)]),
    ),
)
def test_whatever_is_expected_the_health_is_said_and_less_is_never_better(name: str, expected: Expected) -> None:
    node = _NODES[name]
    found = derive(replace(node, expected=expected))
    assert all(health_words.sentence(reason) for reason in found.health.reasons)
    assert found.health.ready is not (any(KINDS[reason.code].ready is False for reason in found.health.reasons))
    if expected.gpus is not None and expected.gpus > len(node.gpus):
        assert found.health.ready is False


def test_an_expectation_and_what_the_agent_says_have_the_same_fields() -> None:
    assert Expected.__struct_fields__ == (*Expectation.__struct_fields__, "learned")
