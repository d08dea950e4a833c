"""What differs between two readings of a node, as a person reads it."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from nvtopo.model.changes.topology import changes
from nvtopo.model.changes.words import text
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import GpuFabric, HostFacts, NetDevice, NetFacts, PcieLink, RdmaFacts
from nvtopo.model.records.node import GpuPair, Nic, NodeTopology
from nvtopo.model.records.places import PciRoot
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from tests.model.machines import address, gpu, hca, machine, to_switch


def _machine(links: int = 18, inactive: tuple[int, ...] = ()) -> Snapshot:
    gpus = (gpu(index, *(to_switch(link, active=link not in inactive) for link in range(links))) for index in range(2))
    snapshot = machine(*gpus, hcas=(hca(0, switch=0), hca(1, switch=1)))
    netdev = NetDevice(name="eth0", index=1, mtu_bytes=9000, pci_address=address(0x40))
    return replace(snapshot, net=NetFacts(devices=(netdev,)))


def _texts(before: Snapshot, after: Snapshot) -> list[str]:
    return [text(change) for change in changes(assemble(before), assemble(after))]


def _first_gpu(snapshot: Snapshot, **facts: object) -> Snapshot:
    assert snapshot.nvml is not None
    first, *rest = snapshot.nvml.gpus
    return replace(snapshot, nvml=replace(snapshot.nvml, gpus=(replace(first, **facts), *rest)))


def _without_second_gpu(snapshot: Snapshot) -> Snapshot:
    assert snapshot.nvml is not None
    return replace(snapshot, nvml=replace(snapshot.nvml, gpus=snapshot.nvml.gpus[:1]))


def _netdev(snapshot: Snapshot) -> Snapshot:
    assert snapshot.net is not None
    return replace(snapshot, net=NetFacts(devices=(replace(snapshot.net.devices[0], mtu_bytes=1500),)))


def _port_down(snapshot: Snapshot) -> Snapshot:
    assert snapshot.rdma is not None
    first, second = snapshot.rdma.devices
    port = replace(first.ports[0], state="DOWN")
    return replace(snapshot, rdma=RdmaFacts(devices=(replace(first, ports=(port,)), second)))


def _renamed(snapshot: Snapshot) -> Snapshot:
    assert snapshot.rdma is not None
    names = [replace(device, name=f"mlx5_{7 + index}") for index, device in enumerate(snapshot.rdma.devices)]
    return replace(snapshot, rdma=RdmaFacts(devices=tuple(names)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: _first_gpu(s, uuid="GPU-new"), ["GPU0: UUID GPU-0 → GPU-new"]),
        (lambda s: _first_gpu(s, mig=True), ["GPU0: MIG not known → yes", "node: NVLink groups {0,1} → not known"]),
        (lambda s: _first_gpu(s, link=PcieLink(width=8, max_width=16)), ["GPU0: PCIe link width not known → 8"]),
        (lambda s: _first_gpu(s, memory_bytes=80 << 30), ["GPU0: memory not known → 80 GiB"]),
        (_without_second_gpu, ["GPU1 gone: GPU-1 at 0000:11:00.0", "node: NVLink groups {0,1} → none"]),
        (_netdev, ["mlx5_0: MTU 9000 → 1500"]),
        (_port_down, ["mlx5_0: port 1 state ACTIVE → DOWN"]),
        (_renamed, ["mlx5_7: name mlx5_0 → mlx5_7", "mlx5_8: name mlx5_1 → mlx5_8"]),
        (lambda s: replace(s, host=HostFacts(name="test", kernel="6.9")), ["host: kernel not known → 6.9"]),
        (lambda s: replace(s, attributes={"fan": {"rpm": 7}}), ["node: attributes fan rpm not known → 7"]),
    ],
    ids=["replaced", "mig", "narrow", "memory", "lost", "mtu", "port", "renamed", "kernel", "attribute"],
)
def test_a_change_is_said_in_one_line(change: Callable[[Snapshot], Snapshot], says: list[str]) -> None:
    found = _texts(_machine(), change(_machine()))
    assert [line for line in found if line in says] == says


def test_a_link_that_goes_down_is_one_line_for_its_gpu_though_its_rate_and_other_side_go_too() -> None:
    found = _texts(_machine(), _machine(inactive=(17,)))
    assert found == [f"GPU{index}: NVLinks 0-17 active → 0-16 active, 17 inactive" for index in range(2)]


def test_links_that_stay_up_say_what_else_changed() -> None:
    slow = tuple(replace(to_switch(link), bytes_per_second=20_000_000_000) for link in range(18))
    assert _texts(_machine(), _first_gpu(_machine(), nvlinks=slow)) == [
        "GPU0: NVLink rate 0-17 212.496 Gb/s → 0-17 160 Gb/s"
    ]


def test_a_problem_comes_and_goes() -> None:
    sick = replace(_machine(), problems=(Problem(source="rdma", subject="mlx5_0", reason="rate: I/O error"),))
    assert _texts(_machine(), sick) == ["problem with mlx5_0 new: rate: I/O error"]
    assert _texts(sick, _machine()) == ["problem with mlx5_0 gone: rate: I/O error"]


def test_another_tool_s_output_is_compared_by_what_follows_from_both() -> None:
    stated = NodeTopology(
        gpus=tuple(replace(one, uuid="", nvlinks=(), pci_address=None, path="") for one in assemble(_machine()).gpus),
        pairs=(GpuPair(a=0, b=1, nvlinks=16),),
    )
    found = [text(change) for change in changes(assemble(_machine()), stated)]
    assert "GPU0, GPU1: link NV18 → NV16" in found
    assert not any("UUID" in line or "gone" in line for line in found)


def test_things_that_share_a_name_are_told_apart_by_their_order() -> None:
    node = NodeTopology(nics=(Nic(name="x"), Nic(name="x", numa_node=1)), pci=(PciRoot(root="", functions=1),))
    assert changes(node, node) == ()
    assert [text(change) for change in changes(node, replace(node, nics=node.nics[:1]))] == ["x gone"]


def test_nvswitches_come_and_go_by_address() -> None:
    before, after = (NodeTopology(nvswitches=(address(1), address(bus))) for bus in (2, 3))
    found = changes(before, after)
    assert [text(change) for change in found] == ["NVSwitch 0000:02:00.0 gone", "NVSwitch 0000:03:00.0 new"]
    assert {change.kind for change in found} == {"nvswitches"}


def test_another_domain_is_a_change_of_the_node() -> None:
    def in_clique(clique: int) -> NodeTopology:
        fabric = GpuFabric(state="completed", status=0, cluster_uuid="5c1b7a4e-0000-4000-8000-72", clique_id=clique)
        return assemble(machine(gpu(0, fabric=fabric)))

    found = [change for change in changes(in_clique(1), in_clique(2)) if change.path == "nvlinkDomain"]
    assert [(change.kind, change.subject) for change in found] == [("derived", "node")]
