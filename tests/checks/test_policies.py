"""Policies: those that are shipped, and what one says its machines are for."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from nvtopo import cli
from nvtopo.checks.check import Machine
from nvtopo.checks.policy import due, learned
from nvtopo.checks.report import of_node
from nvtopo.checks.table import CHECKS
from nvtopo.checks.workload import MATTERS
from nvtopo.errors import ParseError
from nvtopo.findings.expectation import WORKLOADS, expectations_in
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.expected import FirmwareExpectation
from tests.checks.recorded import snapshot_of
from tests.hosts.recorded import FIXTURES

SHIPPED = (FIXTURES.parent / "docs" / "expectations.yaml").read_bytes()
#: A healthy machine of each shape that is shipped.
SHAPES = {
    "hgx-h100": "h100-sxm-8gpu-8cx7",
    "gb200-nvl72": "gb200-nvl72-tray",
    "gb300-nvl72": "gb300-nvl72-tray",
    "gh200": "gh200-single",
    "hgx-b200": "hgx-b200-8gpu",
    "hgx-h200": "hgx-h200-8gpu",
    "hgx-a100-80gb": "hgx-a100-8gpu",
    "dgx-1": "dgx1-v100-cube-mesh",
    "dgx-2": "dgx2-v100-16gpu",
    "h100-nvl": "h100-nvl-pairs",
    "l40s": "l40s-8gpu-pcie",
}
CAPTURE = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json"


def test_every_workload_is_in_the_table_and_names_checks_that_there_are() -> None:
    assert tuple(MATTERS) == WORKLOADS
    assert frozenset().union(*MATTERS.values()) <= {one.check.id for one in CHECKS}


@pytest.mark.parametrize(("workload", "severity"), [("real-time", "warning"), ("batch", "info"), (None, "info")])
def test_a_setting_that_disturbs_is_a_warning_for_real_time(
    tmp_path: Path, workload: str | None, severity: str
) -> None:
    capture = json.loads(CAPTURE.read_text(encoding="utf-8"))
    capture["host"]["numaBalancing"] = 1
    (tmp_path / "capture.json").write_text(json.dumps(capture), encoding="utf-8")
    shape = {"match": {"gpu": "NVIDIA H100 80GB HBM3"}, "expect": {"gpus": 8}}
    shape |= {} if workload is None else {"workload": workload}
    (tmp_path / "policy.json").write_text(json.dumps({"shapes": {"h100": shape}}), encoding="utf-8")
    words = ["doctor", "--from", str(tmp_path / "capture.json"), "--policy", str(tmp_path / "policy.json")]
    done = CliRunner().invoke(cli.main, [*words, "--format", "json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert [one["severity"] for one in found["findings"] if one["id"] == "numa-balancing-on"] == [severity]
    assert (found["verdict"], done.exit_code) == ("ready", 0)


def test_each_shipped_shape_has_a_machine() -> None:
    assert list(expectations_in(SHIPPED, "docs").shapes) == list(SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_healthy_machine_meets_the_shipped_policy_of_its_shape(shape: str) -> None:
    """And is of no other shape before it."""
    policy, snapshot = expectations_in(SHIPPED, "docs"), snapshot_of(SHAPES[shape])
    node = due(assemble(snapshot), snapshot, policy)
    assert node is not None
    assert next(name for name, one in policy.shapes.items() if one.match.is_of(node)) == shape
    report = of_node(Machine(node, snapshot))
    assert report.verdict == "ready"
    counted = {"nvlink-errors"} if shape == "hgx-b200" else set()  # a link of it has bit errors
    assert {one.id for one in report.findings if one.severity != "info"} == counted


def test_a_workload_that_there_is_not_is_refused_in_one_line() -> None:
    with pytest.raises(ParseError, match="workload") as refused:
        expectations_in(b'{"shapes": {"a": {"match": {}, "expect": {}, "workload": "quick"}}}', "policy")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ({"vbios": "96.00.99.00.01"}, set()),
        ({"vbios": "96.00.aa.00.01"}, {f"GPU{index}" for index in range(8)}),
        ({"nicFirmware": [{"model": "15b3:1021", "version": "28.43.2026"}]}, set()),
        ({"nicFirmware": [{"model": "15b3:1021", "version": "28.40.1000"}]}, {f"mlx5_{number}" for number in range(8)}),
        ({"nicFirmware": [{"model": "15b3:101d", "version": "22.40.1000"}]}, set()),
    ],
)
def test_firmware_against_a_policy(versions: dict[str, object], found: set[str]) -> None:
    policy = {"shapes": {"h100": {"match": {"gpu": "NVIDIA H100 80GB HBM3"}, "expect": {"versions": versions}}}}
    snapshot = snapshot_of("h100-sxm-8gpu-8cx7")
    node = due(assemble(snapshot), snapshot, expectations_in(json.dumps(policy).encode(), "policy"))
    assert node is not None
    report = of_node(Machine(node, snapshot))
    assert {one.subject for one in report.findings if one.id == "version-differs"} == found
    assert report.verdict == "ready"


def test_a_learned_policy_has_the_firmware_that_is_shared() -> None:
    snapshot = snapshot_of("h100-sxm-8gpu-8cx7")
    (shape,) = learned(Machine(assemble(snapshot), snapshot), "a").shapes.values()
    versions = shape.expect.versions
    assert versions is not None
    assert versions.vbios == "96.00.99.00.01"
    assert versions.nic_firmware == (FirmwareExpectation(model="15b3:1021", version="28.43.2026"),)
