"""Clusters for exports: small ones as graph documents, and one of each kind in the field as a graph."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from nvtopo.aggregator import fleet
from nvtopo.cluster.claims import Cable, Claim, Reading, SwitchPort, Tier
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.cluster.taints import Target
from nvtopo.exporters.document import DomainEntry, Edge, GraphDocument, NodeEntry, PositionEntry, of
from nvtopo.exporters.schedulers import view
from nvtopo.exporters.schedulers.kinds import Export
from nvtopo.model.formats.object_name import is_subdomain
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines

HOSTS: Final = Path(__file__).resolve().parents[2] / "fixtures" / "hosts"
_SILENT: Final = Reading()

NOWHERE = PositionEntry(chassis=None, slot=None, tray=None, host=None)


def cluster(racks: int = 2, spines: int = 1, lost: str | None = None) -> GraphDocument:
    """``racks`` racks under ``spines`` spines, and by option a node that nobody placed."""
    nodes: dict[str, NodeEntry] = {}
    members: dict[tuple[str, str, str | None], list[str]] = {}
    for rack in range(racks):
        ids = {"nvlinkDomain": f"u{rack}.1", "leaf": f"leaf{rack}", "spine": f"spine{rack % spines}"}
        for tray in range(2):
            name = f"n{rack}{tray}"
            nodes[name] = NodeEntry(
                tiers=ids, gpus=4, health={"GPU0": "ok"}, fabric="Attached", position=NOWHERE, problems=()
            )
            for tier, outer in (("nvlinkDomain", "leaf"), ("leaf", "spine"), ("spine", None)):
                members.setdefault((tier, ids[tier], ids[outer] if outer else None), []).append(name)
    if lost:
        nodes[lost] = NodeEntry(tiers={}, gpus=8, health={}, fabric=None, position=NOWHERE, problems=())
    ordered = sorted(members.items(), key=lambda one: ("nvlinkDomain", "leaf", "spine").index(one[0][0]))
    return GraphDocument(
        generation=1,
        nodes=nodes,
        domains={
            key: DomainEntry(tier=tier, parent=parent, name=_name(tier, key), nodes=tuple(group), chassis=(), silent=())
            for (tier, key, parent), group in ordered
        },
        edges=(
            Edge(a="leaf0", b="n00", source="ibnetdiscover"),
            Edge(a="leaf0", b="n01", source="ibnetdiscover", present=False),
        ),
    )


def _name(tier: str, key: str) -> str:
    number = int("".join(sign for sign in key.split(".", maxsplit=1)[0] if sign.isdigit()))
    return f"{'rack' if tier == 'nvlinkDomain' else tier}-{number:06}"


def _export(nodes: Mapping[str, NodeTopology], reading: Reading = _SILENT) -> Export:
    graph = build(fold(Inventory(), Listed(nodes, {})), None, {"file": reading})
    document = of(graph)
    degraded = (
        {Target("gpu.nvidia.com", min(nodes), "gpu-1"): "nvlinks-missing"} if nodes and is_subdomain(min(nodes)) else {}
    )
    return Export(view.of(document), document, nodes=graph.nodes, taints=degraded)


def export(nodes: Mapping[str, NodeTopology], claims: Sequence[Claim]) -> Export:
    """A cluster of these nodes, and of those that the claims place."""
    return _export(nodes, Reading(tuple(claims)))


@cache
def host(name: str) -> NodeTopology:
    """The node of a machine of ``fixtures/hosts``."""
    (node,) = fleet.read(HOSTS / name / "capture.json").listed.nodes.values()
    return node


def of_hosts(*names: str) -> Export:
    """A cluster of these machines."""
    return _export({name: host(name) for name in names})


@cache
def small() -> Export:
    """The two racks of ``cluster``, as a document alone."""
    document = cluster()
    return Export(view.of(document), document)


@cache
def nvl72() -> Export:
    """Two racks of GB200 NVL72; each rack a leaf, both below a spine."""
    nodes = machines.racks(2)
    claims = [Claim(name, "leaf", f"leaf-{name[3]}", "file") for name in nodes]
    claims += [Claim(name, "spine", "spine-1", "file") for name in nodes]
    return _export(nodes, Reading(tuple(claims)))


@cache
def hgx() -> Export:
    """Twelve HGX H200 on rails, groups of leaves of four and eight; one cable is missing."""
    nodes = {f"gpu-{number}": host("hgx-h200-8gpu") for number in range(1, 13)}
    claims, ports, cables = list[Claim](), list[SwitchPort](), list[Cable]()
    for number, name in enumerate(nodes, 1):
        group = 1 if number <= 4 else 2
        claims += [Claim(name, "leaf", f"su-{group}", "ibnetdiscover"), Claim(name, "spine", "pod-1", "ibnetdiscover")]
        for rail in range(8):
            leaf = f"su{group}-rail{rail}"
            present = (number, rail) != (7, 3)
            a, b = sorted((name, leaf))
            cables.append(Cable(a, b, "ibnetdiscover", present))
            if present:
                ports.append(SwitchPort(name, rail, None, f"mlx5_{rail}", leaf, str(number), "ibnetdiscover"))
    return _export(nodes, Reading(tuple(claims), tuple(ports), tuple(cables)))


@cache
def edge() -> Export:
    """A mixed site: bridged pairs, a small card, a Grace Hopper, a virtual machine without NUMA, one without a GPU."""
    nodes = {
        "pairs": host("h100-nvl-pairs"),
        "small-card": host("t4-single-edge"),
        "grace": host("gh200-single"),
        "flat": host("vm-a100-flat-numa-minus-one"),
        "desk": host("laptop-no-gpu"),
    }
    claims = [Claim(name, "rack", "cabinet-2" if name == "grace" else "cabinet-1", "file") for name in nodes]
    claims += [Claim(name, "zone", "site-1", "file") for name in nodes if name != "desk"]
    return _export(nodes, Reading(tuple(claims)))


@cache
def cloud() -> Export:
    """A cloud's node labels and nothing else: the provider's names are digests, and one node has no label."""
    layers: dict[Tier, tuple[str, str]] = {
        "leaf": ("nn-0f9b", "nn-0a31"),
        "spine": ("nn-77c1", "nn-77c1"),
        "core": ("nn-1d20", "nn-1d20"),
    }
    claims = [
        Claim(f"ip-10-0-0-{number}.ec2.internal", tier, ids[number % 2], "labels/aws")
        for number in range(8, 12)
        for tier, ids in layers.items()
    ]
    nodes = {"ip-10-0-0-200.ec2.internal": NodeTopology()}
    return _export(nodes, Reading(tuple(claims)))


CLUSTERS: Final[Mapping[str, Callable[[], Export]]] = {
    "small": small,
    "nvl72": nvl72,
    "hgx": hgx,
    "edge": edge,
    "cloud": cloud,
}
"""Each kind of export has a golden file of each of them."""
