"""What DRA drivers publish against what the node sees: each doubt, and nothing where both agree."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.slices import Device, Doubt, Lasting, Slice, doubts, findings
from nvtopo.kube import resource_slices
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from tests.exporters.test_export_cases import CASES, case
from tests.kube.machines import hgx

GPU, NIC = hgx().gpus[0], hgx().nics[0]
ADDRESS = GPU.pci_address or ""
ROOT = GPU.path.partition("/")[0]


def node() -> GraphNode:
    return build(fold(Inventory(), Listed({"n0": hgx()}))).nodes["n0"]


def gpu(index: int = 0, **changes: Any) -> Device:
    seen = hgx().gpus[index]
    whole = Device(
        name=f"gpu-{index}",
        bus_id=seen.pci_address,
        root=seen.path.partition("/")[0],
        numa=seen.numa_node,
        uuid=seen.uuid,
    )
    return whole._replace(**changes)


def published(*devices: Device, driver: str = "gpu.nvidia.com", generation: int = 1, parts: int = 1) -> Slice:
    return Slice(driver, "n0", "n0", generation, parts, devices)


def said(*slices: Slice, of: GraphNode | None = None) -> list[str]:
    return sorted(doubt.evidence for doubt in doubts(slices, of or node()))


ALL = tuple(gpu(index) for index in range(8))


def test_a_driver_that_agrees_raises_no_doubt() -> None:
    nic = Device("nic-0", NIC.pci_address, NIC.path.partition("/")[0], NIC.numa_node)
    assert said(published(*ALL), published(nic, driver="dra.net")) == []


@pytest.mark.parametrize(
    ("device", "evidence"),
    [
        (gpu(uuid="GPU-other"), f"gpu-0 at {ADDRESS} is GPU-other; nvtopo sees {GPU.uuid}"),
        (gpu(root="pci0000:ff"), f"gpu.nvidia.com gpu-0 has pcieRoot pci0000:ff; nvtopo sees {ROOT}"),
        (gpu(root=None), f"gpu.nvidia.com gpu-0 has no pcieRoot; nvtopo sees {ROOT}"),
        (gpu(numa=7), f"gpu.nvidia.com gpu-0 has numaNode 7; nvtopo sees {GPU.numa_node}"),
        (gpu(numa=-1), "gpu.nvidia.com gpu-0 numaNode -1: it should be left out"),
        (gpu(taints=("xid=79:NoSchedule",)), "gpu-0 is tainted xid=79:NoSchedule; nvtopo sees nothing wrong with GPU0"),
    ],
    ids=["uuid", "root", "no-root", "numa", "negative-numa", "taint"],
)
def test_each_thing_that_differs(device: Device, evidence: str) -> None:
    assert said(published(device, *ALL[1:])) == [evidence]


def test_a_gpu_of_no_slice_and_one_of_no_node() -> None:
    stranger = Device("gpu-9", "0000:fe:00.0", uuid="GPU-stranger")
    assert said(published(*ALL[:7], stranger)) == [
        "GPU7 of the node in no slice: no claim gets it",
        "gpu-9 (GPU-stranger at 0000:fe:00.0) is no GPU that nvtopo sees",
    ]
    assert said(published()) == [], "a driver that publishes no GPU yet says nothing of them"


def test_a_root_of_the_driver_s_own_is_said_once_for_all_its_devices() -> None:
    own = [Device(f"gpu-{number}", own_root=True) for number in range(10)]
    (evidence,) = said(published(*own, driver="gpu.intel.com"))
    assert evidence.startswith(
        "gpu.intel.com publishes pciRoot of its own and not resource.kubernetes.io/pcieRoot (gpu-0,"
    )
    assert "and 2 more" in evidence


def test_a_pool_that_is_not_whole_and_one_with_old_slices() -> None:
    half = published(*ALL, generation=2, parts=2)
    assert said(half) == ["pool n0 has 1 of 2 slices of generation 2: the scheduler uses none of its devices"]
    old = published(Device("gone", "0000:fe:00.0", uuid="GPU-gone"), generation=1)
    assert said(published(*ALL, generation=2), old) == ["pool n0 has 1 slices from before generation 2"]


def test_d06_three_findings_of_three_drivers_and_none_of_the_one_that_agrees() -> None:
    case("d06-cross-check")
    items = json.loads((CASES / "d06-slices.json").read_text(encoding="utf-8"))["items"]
    seen = NodeTopology(
        gpus=(Gpu(index=0, uuid="GPU-00000000", pci_address=PciAddress("0000:10:00.0"), path="pci0000:00"),),
        nics=(Nic(name="mlx5_0", pci_address=PciAddress("0000:41:00.0"), path="pci0000:40"),),
    )
    publishes = "gpu.intel.com publishes pciRoot of its own and not resource.kubernetes.io/pcieRoot (gpu-0)"
    own = f"{publishes}: matchAttribute across drivers can't work"
    slices = [resource_slices.read(msgspec.Raw(msgspec.json.encode(item))).value for item in items]
    assert said(*slices, of=replace(node(), topology=seen)) == [
        "dra.net nic-0 has no pcieRoot; nvtopo sees pci0000:40",
        "dra.net nic-0 numaNode -1: it should be left out",
        own,
    ]


def test_of_a_node_that_is_stale_or_unreadable_only_the_pools_are_judged() -> None:
    wrong = published(gpu(uuid="GPU-other"), parts=2)
    for quiet in (replace(node(), stale=True), replace(node(), topology=None)):
        assert said(wrong, of=quiet) == [
            "pool n0 has 1 of 2 slices of generation 1: the scheduler uses none of its devices"
        ]


def test_what_is_the_same_on_many_nodes_is_one_finding() -> None:
    same, other = Doubt("dra.net", "numaNode -1", note=True), Doubt("gpu.nvidia.com", "gpu-0 is wrong")
    found = findings({"b": [same], "a": [same, other]})
    assert [(one.nodes, one.finding.severity, one.finding.subject, one.reason) for one in found] == [
        (("a",), "warning", "gpu.nvidia.com", "gpu-0 is wrong"),
        (("a", "b"), "info", "dra.net", "numaNode -1"),
    ]
    assert [one.finding.id for one in found] == ["resource-slices-differ", "resource-slices-notes"]


def test_only_what_lasts_is_told() -> None:
    lasting, doubt, other = Lasting(10), Doubt("d", "one"), Doubt("d", "other")
    lasting.see("n0", [doubt], 0)
    lasting.see("n0", [doubt, other], 8)
    assert lasting.lasted(9) == {}
    assert lasting.lasted(10) == {"n0": {doubt}}
    lasting.see("n0", [other], 12)
    lasting.see("n0", [doubt, other], 13)
    assert lasting.lasted(18) == {"n0": {other}}, "what went and came again is young"
    lasting.see("n0", [], 20)
    assert lasting.lasted(99) == {}
