"""GB200-like trays and racks for tests: 4 GPUs with 18 switch links, one NVLink domain for each rack of 18 trays."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.model.records.facts import GpuFabric, GpuPlatform
from nvtopo.model.records.node import Gpu, Host, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle

TRAYS = 18
HEALTHY = 0x1AA
SPEED = 50_000_000_000


def bundle(links: str = "0-17", state: str | None = "active") -> NvLinkBundle:
    return NvLinkBundle(links=links, state=state, version="5.0", bytes_per_second=SPEED, remote="switch")


def cluster_uuid(rack: int) -> str:
    return f"{rack:08x}-0000-4000-8000-0000000000aa"


def domain_id(rack: int, clique: int = 32766) -> str:
    return f"{cluster_uuid(rack)}.{clique}"


def serial(rack: int) -> str:
    return f"18201{rack:08d}"


def fabric(rack: int = 1, clique: int = 32766, **changes: Any) -> GpuFabric:
    attached = GpuFabric(
        state="completed",
        status=0,
        cluster_uuid=cluster_uuid(rack),
        clique_id=clique,
        health_mask=HEALTHY,
        health_summary="healthy",
    )
    return replace(attached, **changes)


def gpu(rack: int = 1, number: int = 0, index: int = 0, clique: int = 32766) -> Gpu:
    """GPU ``index`` of tray ``number``."""
    return Gpu(
        index=index,
        uuid=f"GPU-{rack:08x}-{number:04x}-{index:04x}",
        name="NVIDIA GB200",
        nvlink_count=TRAYS,
        nvlinks=(bundle(),),
        fabric=fabric(rack, clique),
        platform=GpuPlatform(chassis_serial=serial(rack), slot=number + 1, tray=number, host=1, module=index + 1),
    )


def tray(rack: int = 1, number: int = 0, clique: int = 32766) -> NodeTopology:
    """One compute tray as a node."""
    return NodeTopology(
        host=Host(architecture="aarch64", driver_version="580.65.06"),
        gpus=tuple(gpu(rack, number, index, clique) for index in range(4)),
    )


def hgx(gpus: int = 8) -> NodeTopology:
    """An HGX board: its own NVSwitches, in no multi-node domain."""
    alone = GpuFabric(state="completed", status=0, cluster_uuid="00000000-0000-0000-0000-000000000000", clique_id=0)
    return NodeTopology(
        host=Host(architecture="x86_64"),
        gpus=tuple(
            Gpu(index=index, uuid=f"GPU-hgx-{index}", nvlink_count=18, nvlinks=(bundle(),), fabric=alone)
            for index in range(gpus)
        ),
    )


def changed(node: NodeTopology, index: int, **changes: Any) -> NodeTopology:
    """The node with something else about one of its GPUs."""
    gpus: Sequence[Gpu] = node.gpus
    return replace(node, gpus=tuple(replace(one, **changes) if one.index == index else one for one in gpus))


def all_changed(node: NodeTopology, **changes: Any) -> NodeTopology:
    """The node with something else about all of its GPUs."""
    return replace(node, gpus=tuple(replace(one, **changes) for one in node.gpus))


def name(rack: int, number: int) -> str:
    return f"r{rack:03}-t{number:02}"


def racks(count: int, trays: int = TRAYS) -> dict[str, NodeTopology]:
    """Nodes of ``count`` whole racks."""
    return {name(rack, number): tray(rack, number) for rack in range(1, count + 1) for number in range(trays)}


def graph(nodes: dict[str, NodeTopology], unreadable: dict[str, str] | None = None) -> ClusterGraph:
    """The graph of a cluster that was listed once."""
    return build(fold(Inventory(), Listed(nodes, unreadable or {})))


def troubled() -> ClusterGraph:
    """Two racks and some strays, with one of every trouble that has a picture of its own."""
    nodes = racks(2)
    del nodes[name(1, 7)]
    for number in (3, 4, 5):
        del nodes[name(2, number)]
    nodes[name(1, 2)] = changed(nodes[name(1, 2)], 2, nvlinks=(bundle("0-15"), bundle("16-17", "inactive")))
    nodes[name(1, 11)] = changed(nodes[name(1, 11)], 1, nvlinks=(bundle(state=None),))
    nodes[name(1, 12)] = changed(nodes[name(1, 12)], 0, nvlinks=(bundle(state="inactive"),))
    nodes[name(2, 9)] = all_changed(nodes[name(2, 9)], fabric=GpuFabric(state="in-progress"))
    nodes[name(2, 10)] = changed(nodes[name(2, 10)], 3, fabric=fabric(1))
    nodes[name(2, 12)] = all_changed(nodes[name(2, 12)], fabric=fabric(2, health_summary="unhealthy"))
    nodes["spare-tray"] = tray(2, 12)
    nodes["hgx-01"] = hgx()
    nodes["cpu-only"] = NodeTopology()
    return graph(nodes, {"garbled": "expected `object`, got `str` - at `$.gpus[0]`"})
