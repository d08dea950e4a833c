"""From the cluster's graph to the hosts of a fleet: which GPUs of which node may be given to a gang.

A node or GPU that is ill, stale or not known takes no pods, and the reason is kept for the answer. A node with a
GPU in MIG mode takes none either: the driver hides its NVLinks, so its groups are not known.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.domains import agreed
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.conclusions import nvlink
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.health import NodeHealth
from nvtopo.model.conclusions.health_kinds import KINDS, USABLE
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.paths import nearest_nics
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.result import Rank

HOSTNAME_LABEL = "kubernetes.io/hostname"
STALE: Final = "stale"
NOT_READY: Final = "not ready"
_NO_GPU: Final = "no GPU"
_FOREIGN: Final = "none of its GPUs is the NVIDIA driver's"
_NO_ANSWER: Final = "its GPUs do not answer"
#: Of a host that has no GPU to give, whatever is mended.
WITHOUT_GPUS: Final = frozenset((_NO_GPU, _FOREIGN))
#: Why a host with GPUs is excluded that are known to be of no use now; any other reason means that it is not known.
ILL: Final = frozenset((NOT_READY, _NO_ANSWER))
ZONE_PREFIX = "nvtopo.io/zone."
"""Of a label that requests may ask for, though no Node has it: the zone of a kind in an operator's file."""


def of_graph(  # noqa: PLR0913 - what a fleet is made of, each with a default
    graph: ClusterGraph,
    held: Mapping[str, Collection[int]] = MappingProxyType({}),
    labels: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    *,
    degraded: bool = False,
    told: Collection[str] | None = None,
    published: Mapping[str, Collection[int]] | None = None,
) -> Fleet:
    """The fleet of a graph.

    ``held`` are GPUs in use: node → indices. With ``degraded``, GPUs that get less than they should may serve too.
    ``told`` are the nodes of which it is known which GPUs pods hold, if anybody follows that: others take no pods.
    ``published`` are the GPUs that a DRA driver gives to claims, for pods that ask by claims.
    """
    order = {name: number for number, name in enumerate(_in_order(graph))}
    nodes = sorted(graph.nodes.values(), key=lambda node: order.get(node.name, len(order)))
    tiers = _nested({node.name: node.tiers for node in nodes})
    hosts = (
        _host(node, tiers[node.name], held.get(node.name, ()), labels.get(node.name, {}), degraded=degraded)
        for node in nodes
    )
    return fleet((_published(_without_untold(host, told), published) for host in hosts), TIERS)


def _without_untold(host: Host, told: Collection[str] | None) -> Host:
    if told is None or host.excluded is not None or host.name in told:
        return host
    return host._replace(free=(), excluded="nobody knows which of its GPUs pods hold")


def _published(host: Host, published: Mapping[str, Collection[int]] | None) -> Host:
    if published is None or host.excluded is not None:
        return host
    there = published.get(host.name, ())
    if not there:
        return host._replace(free=(), excluded="no DRA driver publishes its GPUs")
    return host.without({gpu for group in host.free for gpu in group if gpu not in there})


def nics_near_to(rank: Rank, graph: ClusterGraph | None) -> tuple[str, ...]:
    """The NICs nearest to the GPUs of a rank, in the order of these."""
    node = graph.nodes.get(rank.node) if graph is not None else None
    if node is None or node.topology is None:
        return ()
    distances = Distances(node.topology)
    found: dict[str, None] = {}
    for gpu in node.topology.gpus:
        if gpu.index in rank.gpus:
            near = nearest_nics(node.topology, distances, gpu)
            if near.level is not None and near.level < Locality.SYS:
                found.update(dict.fromkeys(near.nics))
    return tuple(found)


def _in_order(graph: ClusterGraph) -> Iterator[str]:
    """The nodes as their outermost domains list them, which is physical order."""
    seen: set[str] = set()
    for tier in reversed(TIERS):
        for domain in graph.domains.values():
            if domain.tier == tier:
                for name in domain.nodes:
                    if name not in seen:
                        seen.add(name)
                        yield name


def _nested(tiers: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The tiers of each node, such that domains nest.

    What some nodes of a domain say of an outer tier holds for the others that say nothing, and for one that is alone
    with what it says. An outer tier in which they differ is left out for all of them: a domain is never torn for it.
    """
    found = {name: dict(own) for name, own in tiers.items()}
    for inner in TIERS:
        members: dict[str, list[str]] = {}
        for name, own in found.items():
            if inner in own:
                members.setdefault(own[inner], []).append(name)
        for group in members.values():
            for outer in TIERS[TIERS.index(inner) + 1 :]:
                domain = agreed(Counter(found[name][outer] for name in group if outer in found[name]))
                for name in group:
                    if domain is not None:
                        found[name][outer] = domain
                    else:
                        found[name].pop(outer, None)
    return found


def _host(
    node: GraphNode, tiers: Mapping[str, str], held: Collection[int], labels: Mapping[str, str], *, degraded: bool
) -> Host:
    zones = {f"{ZONE_PREFIX}{kind}": zone for kind, zone in node.zones.items()}
    every_label = {HOSTNAME_LABEL: node.name, **labels, **zones}
    excluded = _excluded(node, degraded=degraded)
    if node.topology is None or excluded is not None:
        return Host(node.name, tiers, excluded=excluded or "nobody knows its GPUs", labels=every_label)
    groups = nvlink.groups(node.topology)
    if groups is None:
        return Host(node.name, tiers, excluded="its NVLink groups are not known", labels=every_label)
    well = {
        gpu.index
        for gpu in node.topology.gpus
        if is_usable(node, gpu, degraded=degraded) and gpu.key not in node.disputed
    }
    everything = tuple(_all(node.topology, groups))
    free = (tuple(index for index in group if index in well and index not in held) for group in everything)
    return Host(
        name=node.name,
        tiers=tiers,
        free=tuple(group for group in free if group),
        groups=everything,
        labels=every_label,
    )


def _excluded(node: GraphNode, *, degraded: bool) -> str | None:
    if node.topology is None:
        return "its NodeTopology is not readable" if node.in_store else "it has no NodeTopology"
    if node.stale:
        return STALE
    if not node.topology.gpus:
        return _without_gpus(node.topology, node.judged)
    if node.judged is None or node.judged.ready is None:
        return "nobody knows whether it is ready"
    if not node.judged.ready and not (degraded and node.judged.level == "degraded"):
        return NOT_READY
    return None


def is_usable(node: GraphNode, gpu: Gpu, *, degraded: bool) -> bool:
    """Whether a job may have the GPU: a narrow PCIe link stands in no job's way, and is not well all the same."""
    level = node.health.get(gpu.key)
    if level != "degraded" or degraded or node.judged is None:
        return level in USABLE
    return all(KINDS[reason.code].ready for reason in node.judged.gpus[gpu.index].reasons)


def _without_gpus(topology: NodeTopology, judged: NodeHealth | None) -> str:
    """Why there are none: the bus has none, they do not answer, or nobody knows."""
    codes = {reason.code for reason in judged.reasons} if judged is not None else set()
    if "no-gpu" in codes:
        return _NO_GPU
    if "no-gpu-read" in codes:
        return _FOREIGN
    return _NO_ANSWER if nvlink.unanswered(topology) or "no-gpu-answers" in codes else "its GPUs are not known"


def _all(topology: NodeTopology, groups: tuple[tuple[int, ...], ...]) -> Iterator[tuple[int, ...]]:
    """The NVLink groups, and each GPU in none as a group of its own."""
    yield from groups
    joined = {index for group in groups for index in group}
    for gpu in topology.gpus:
        if gpu.index not in joined:
            yield (gpu.index,)
