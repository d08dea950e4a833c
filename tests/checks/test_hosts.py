"""What doctor says of every machine of ``fixtures/hosts``: golden, and never other than the label ``ready``."""

from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from nvtopo.aggregator.status import status_of
from nvtopo.checks.report import of_node
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters import document as graph_document
from nvtopo.findings import of_health
from nvtopo.model.conclusions.features import features
from nvtopo.model.conclusions.health_kinds import KINDS, Code
from nvtopo.model.records.facts import GpuFabric
from nvtopo.reports import document
from tests import golden
from tests.checks.recorded import NAMES, machine_of, report_of, snapshot_of
from tests.hosts.recorded import FIXTURES

_EACH: Final = pytest.mark.parametrize("name", NAMES)
#: A link of theirs has too many bit errors, which is an alert (NvtopoNvlinkBitErrors) and of which no label is made.
_COUNTED: Final = {"b200-nvswitch-mgmt-nics": ["nvlink-errors"], "hgx-b200-8gpu": ["nvlink-errors"]}
_VERDICTS: Final = {"true": "ready", "false": "not-ready", None: "cannot-know"}


@_EACH
def test_the_report_is_the_golden_one(name: str) -> None:
    expected: Path = FIXTURES / "hosts" / name / "expected" / "doctor.json"
    said = msgspec.json.decode(document.render(report_of(name)))
    shown = {key: said[key] for key in ("verdict", "findings", "unknown")}  # a new check is seen only where it finds
    golden.check(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n", expected)


@_EACH
def test_verdict_and_label_agree(name: str) -> None:
    machine = machine_of(snapshot_of(name))
    assert report_of(name).verdict == _VERDICTS[features(machine.node, machine.derived).get("nvtopo.io/ready")]


@_EACH
def test_only_what_makes_a_node_not_ready_is_critical(name: str) -> None:
    critical = {finding.id for finding in report_of(name).findings if finding.severity == "critical"}
    health = machine_of(snapshot_of(name)).derived.health
    assert critical == {reason.code for reason in health.reasons if KINDS[reason.code].ready is False}


@_EACH
def test_a_healthy_shape_has_nothing_above_info(name: str) -> None:
    health = machine_of(snapshot_of(name)).derived.health
    parts = (*health.gpus.values(), *health.nics.values())
    if {health.level, *(part.level for part in parts)} != {"ok"}:
        return
    found = [finding.id for finding in report_of(name).findings if finding.severity != "info"]
    assert found == _COUNTED.get(name, [])


@pytest.mark.parametrize("code", KINDS)
def test_every_reason_of_health_has_a_check(code: Code) -> None:
    check = of_health.check(code)
    assert check.remedy
    assert check.expected
    assert of_health.reads(code)
    assert (of_health.severity(code) == "critical") == (KINDS[code].ready is False)


def test_one_hgx_node_needs_no_imex() -> None:
    """An HGX board completes with a zero cluster UUID: a domain of one node, for which nobody runs IMEX."""
    snapshot = snapshot_of("hgx-h200-8gpu")
    assert snapshot.nvml is not None
    zero = GpuFabric(state="completed", status=0, cluster_uuid="00000000-0000-0000-0000-000000000000", clique_id=0)
    gpus = tuple(replace(gpu, fabric=zero) for gpu in snapshot.nvml.gpus)
    report = of_node(machine_of(replace(snapshot, nvml=replace(snapshot.nvml, gpus=gpus))))
    assert (report.verdict, report.findings) == ("ready", ())


def test_a_grace_hopper_with_h200_in_its_name_needs_no_switch() -> None:
    snapshot = snapshot_of("gh200-single")
    assert snapshot.nvml is not None
    gpus = tuple(replace(gpu, name="NVIDIA GH200 480GB") for gpu in snapshot.nvml.gpus)
    report = of_node(machine_of(replace(snapshot, nvml=replace(snapshot.nvml, gpus=gpus))))
    assert (report.verdict, report.findings) == ("ready", ())


def test_a_software_rdma_device_is_no_rail() -> None:
    snapshot = snapshot_of("h100-sxm-8gpu-8cx7")
    assert snapshot.rdma is not None
    device = snapshot.rdma.devices[0]
    software = replace(device, name="siw_eth0", pci_address=None, netdevs=("eth0",), ports=device.ports, firmware="")
    rdma = replace(snapshot.rdma, devices=(*snapshot.rdma.devices, software))
    machine = machine_of(replace(snapshot, rdma=rdma))
    assert "siw_eth0" in {nic.name for nic in machine.node.nics}
    assert "siw_eth0" not in machine.derived.rails
    assert of_node(machine).findings == ()


@_EACH
def test_graph_label_and_condition_are_as_bad_as_doctor_says(name: str) -> None:
    """One severity: what makes a node not ready is critical in the graph and on the page too, and nothing else is."""
    machine = machine_of(snapshot_of(name))
    graph = build(fold(Inventory(), Listed({name: machine.node}, {})))
    entry = graph_document.of(graph).nodes[name]
    (condition,) = status_of(graph.nodes[name]).conditions
    worst = "critical" in {problem.severity for problem in entry.problems}
    assert worst == (report_of(name).verdict == "not-ready") == (condition.status == "False")
