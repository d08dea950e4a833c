"""The nodes of a graph as their domains count them: by placement's own rules, and by what their Node objects say."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.checks import capacity
from nvtopo.checks.capacity import DomainNodes, Room, Seat
from nvtopo.checks.check import NodeLabels
from nvtopo.cluster.claims import NVLINK_DOMAIN
from nvtopo.cluster.domains import Domain, rack_gpus
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.health_kinds import KINDS
from nvtopo.model.records.node import NodeTopology
from nvtopo.placement import hosts
from nvtopo.placement.fleet import Host

_NO_NODES: Final[Mapping[str, NodeLabels]] = MappingProxyType({})


def room(graph: ClusterGraph, objects: Mapping[str, NodeLabels] = _NO_NODES) -> Room:
    """What each domain of the graph holds; ``objects``: node → what its Node object says, where that was asked for."""
    fleet = hosts.of_graph(graph)
    seats = {
        name: seat
        for name, node in graph.nodes.items()
        if (seat := _seat(node, fleet.hosts[name], objects.get(name))) is not None
    }
    fabrics = _fabrics(graph, seats)
    return capacity.of((_place(domain, fabrics) for domain in graph.domains.values()), seats)


def _seat(node: GraphNode, host: Host, labels: NodeLabels | None) -> Seat | None:
    """None if it has no GPU to give, whatever is mended."""
    gpus = None if node.topology is None else _gpus(node.topology)
    if host.excluded in hosts.WITHOUT_GPUS or gpus == 0:
        return None
    if host.excluded is not None:
        ill = host.excluded in hosts.ILL
        return Seat(gpus, 0, _reason(node) or host.excluded if ill else host.excluded, is_known=ill)
    barred = _barred(labels)
    if barred is not None:
        return barred._replace(gpus=gpus)
    offered = None if labels is None else labels.offered_gpus
    if offered is not None and offered < host.free_gpus:
        return Seat(gpus, offered, f"its Node offers {offered} of {gpus} GPUs")
    return capacity.seat(gpus, host.free_gpus)


def _gpus(topology: NodeTopology) -> int | None:
    """GPUs that should answer; None if it is not known how many there are."""
    if not topology.gpus and topology.unseen:
        return None
    return len(topology.gpus) + len(presence.of_state(topology, "silent")) + len(presence.absent(topology))


def _reason(node: GraphNode) -> str | None:
    """Not ready, and by which check."""
    reasons = () if node.judged is None else node.judged.reasons
    return next((f"{hosts.NOT_READY}: {one.code}" for one in reasons if KINDS[one.code].ready is False), None)


def _barred(labels: NodeLabels | None) -> Seat | None:
    """What the Node object says against new pods."""
    if labels is None:
        return None
    if labels.values is None:
        return Seat(None, why="there is no Node of its name", is_known=False)
    if labels.ready == "False":
        return Seat(None, why="its kubelet is not ready")
    if labels.ready == "Unknown":
        return Seat(None, why="its kubelet is not heard from", is_known=False)
    return Seat(None, why=capacity.CORDONED) if labels.cordoned else None


def _place(domain: Domain, fabrics: Mapping[str, str]) -> DomainNodes:
    missing = capacity.missing((one.first, one.last, one.chassis) for one in domain.silent)
    if not missing and domain.tier == NVLINK_DOMAIN and (why := fabrics.get(_fabric(domain.id))):
        missing = {why: ("other trays",)}
    return DomainNodes(domain.tier, domain.id, domain.nodes, missing)


def _fabrics(graph: ClusterGraph, seats: Mapping[str, Seat]) -> dict[str, str]:
    """NVLink fabric that may have more trays than are known → why. A fabric may be split into several domains."""
    gpus: Counter[str] = Counter()
    products: dict[str, list[str]] = {}
    for domain in graph.domains.values():
        if domain.tier == NVLINK_DOMAIN:
            for name in domain.nodes:
                topology = graph.nodes[name].topology
                gpus[_fabric(domain.id)] += (seats[name].gpus or 0) if name in seats else 0
                names = () if topology is None else (gpu.name for gpu in topology.gpus)
                products.setdefault(_fabric(domain.id), []).extend(names)
    return {
        fabric: f"NVLink joins up to {most} of these GPUs, and {gpus[fabric]} are known"
        for fabric, names in products.items()
        if (most := rack_gpus(names)) is not None and gpus[fabric] < most
    }


def _fabric(domain: str) -> str:
    """Of ``<clusterUUID>.<cliqueID>``: the cluster, which is one fabric."""
    return domain.rpartition(".")[0] or domain
