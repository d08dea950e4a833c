"""One job as a document: its pods, their nodes, GPUs and NICs, and what lies between them, as far as it is known.

A job is a gang, or what a controller made (a Job, JobSet, LeaderWorkerSet, …), by the labels of its pods.
Who holds which GPU the NodeAllocations say; everything else is in the graph.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters import document
from nvtopo.exporters.document import NodeEntry
from nvtopo.exporters.heat_records import GpuHeat, JobHeat
from nvtopo.model.conclusions import names, nvlink, rails
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.health_kinds import Level
from nvtopo.model.conclusions.paths import PairPath, nearest_nics, pair_paths
from nvtopo.model.records.allocation import Allocation
from nvtopo.model.records.node import Nic, NodeTopology
from nvtopo.model.records.record import Record
from nvtopo.model.samples import audit
from nvtopo.model.samples.audit import PodAudit
from nvtopo.placement.fleet import NODE
from nvtopo.placement.pods import GpuPod

MOST_PODS: Final = 2048
"""Of one job; more are left off."""
MOST_JOBS: Final = 1000
Held = Callable[[str], Allocation | None]
"""Node → who holds which of its devices; None if it does not say."""


class JobEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A job in the list."""

    namespace: str
    name: str
    pods: int
    nodes: int


class JobsDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """All jobs with bound pods, by namespace and name."""

    jobs: tuple[JobEntry, ...]
    left_off: int = 0
    """How many more there are."""


class JobPair(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Two GPUs of one node."""

    a: str
    b: str
    link: str | None
    """``NV18``, or the PCIe level; null if it is not known."""
    bytes_per_second: int | None
    """In one direction."""


class JobPod(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One pod. What nobody says is null."""

    name: str
    rank: int | None
    node: str
    gpus: dict[str, Level] | None
    """``GPU0`` → its health."""
    nics: tuple[str, ...] | None
    nvlink_groups: int | None
    """Of how many NVLink groups its GPUs are."""
    nvlink_groups_possible: int | None
    """On how few they would fit, beside what others hold."""
    slowest_pair: JobPair | None
    """Of its own GPUs: one without NVLink, else the slowest whose rate is known."""
    heat: dict[str, GpuHeat] | None = None
    """``GPU0`` → its heat; null without ``--prometheus``, or if ``gpus`` is."""


class JobDomain(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A domain that nodes of the job are in."""

    id: str
    name: str
    nodes: tuple[str, ...]


class JobTier(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One tier, as the job's nodes are spread over it."""

    tier: str
    domains: tuple[JobDomain, ...]
    unknown: tuple[str, ...]
    """Nodes of which nobody knows their domain."""


class SlowestNic(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The slowest active port among the NICs that the pods use between nodes."""

    node: str
    nic: str
    bytes_per_second: int
    """In one direction."""
    held: bool
    """Whether a pod holds it; else it is a NIC of the compute network of a node whose pods hold none."""


class JobDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One job at one generation of the graph."""

    generation: int
    namespace: str
    name: str
    pods: tuple[JobPod, ...]
    """By rank, then by name."""
    left_off: int
    """How many more pods there are."""
    nodes: dict[str, NodeEntry | None]
    """Null for a node that the graph does not have."""
    tiers: tuple[JobTier, ...]
    """Closest first."""
    meets: str | None
    """``node``, or the closest tier in one domain of which all of its nodes are known to be: its traffic passes nothing
    farther. Null if there is none, or it is not known."""
    slowest_pair: JobPair | None
    """The worst of its pods."""
    slowest_nic: SlowestNic | None
    """Null if all meet in a node or NVLink domain, or if no rate is known."""
    heat: JobHeat | None = None
    """Null without ``--prometheus``."""


class NodePart(NamedTuple):
    """What is worked out of one node."""

    audits: Mapping[tuple[str, str], PodAudit]
    pairs: tuple[PairPath, ...]
    compute: tuple[str, ...]
    """NICs of the compute network."""


Guarded = Callable[[GraphNode, Callable[[], NodePart]], NodePart | None]
"""What works something out of a node; None if that can't be done."""


def jobs(pods: Iterable[GpuPod]) -> JobsDocument:
    """Every job that the pods name."""
    count, nodes = Counter[tuple[str, str]](), dict[tuple[str, str], set[str]]()
    for pod in pods:
        for name in _names(pod):
            count[pod.namespace, name] += 1
            nodes.setdefault((pod.namespace, name), set()).add(pod.node)
    found = [JobEntry(namespace=key[0], name=key[1], pods=count[key], nodes=len(nodes[key])) for key in sorted(count)]
    return JobsDocument(jobs=tuple(found[:MOST_JOBS]), left_off=len(found[MOST_JOBS:]))


def _plainly(_node: GraphNode, work: Callable[[], NodePart]) -> NodePart | None:
    return work()


def job(  # noqa: PLR0913, PLR0917 - which one, and what is known
    namespace: str,
    name: str,
    pods: Iterable[GpuPod],
    graph: ClusterGraph,
    held: Held,
    guarded: Guarded = _plainly,
) -> JobDocument | None:
    """One of them; None if no bound pod is of it."""
    own = [pod for pod in pods if pod.namespace == namespace and pod.node and not pod.ended and name in _names(pod)]
    if not own:
        return None
    own.sort(key=lambda pod: (pod.rank is None, pod.rank or 0, pod.name))
    shown, left = own[:MOST_PODS], len(own[MOST_PODS:])
    nodes = sorted({pod.node for pod in shown})
    parts = {node: _part(graph.nodes.get(node), held(node), guarded) for node in nodes}
    entries = tuple(_pod(pod, graph.nodes.get(pod.node), parts[pod.node]) for pod in shown)
    meets = None if left else _meets(nodes, graph)
    return JobDocument(
        generation=graph.generation,
        namespace=namespace,
        name=name,
        pods=entries,
        left_off=left,
        nodes={node: document.entry(graph.nodes[node]) if node in graph.nodes else None for node in nodes},
        tiers=tuple(_tiers(nodes, graph)),
        meets=meets,
        slowest_pair=_worst(one.slowest_pair for one in entries),
        slowest_nic=None if meets in (NODE, "nvlinkDomain") else _slowest_nic(entries, graph, parts),
    )


def _names(pod: GpuPod) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in (pod.gang, pod.job) if name))


def _part(node: GraphNode | None, allocation: Allocation | None, guarded: Guarded) -> NodePart:
    blank = NodePart(_audits(allocation, None), (), ())
    if node is None or node.topology is None:
        return blank
    topology = node.topology
    return guarded(node, lambda: _of_topology(topology, allocation)) or blank


def _of_topology(topology: NodeTopology, allocation: Allocation | None) -> NodePart:
    distances = Distances(topology)
    roles = rails.roles(topology, distances)
    pairs = pair_paths(topology, distances, nvlink.paths(topology))
    compute = tuple(nic for nic, role in roles.items() if role == "compute")
    return NodePart(_audits(allocation, topology), pairs, compute)


def _audits(allocation: Allocation | None, topology: NodeTopology | None) -> Mapping[tuple[str, str], PodAudit]:
    if allocation is None:
        return {}
    if topology is None:
        found = audit.pods(allocation, (), None, {})
    else:
        distances = Distances(topology)
        near = {gpu.index: nearest_nics(topology, distances, gpu).nics for gpu in topology.gpus}
        found = audit.pods(allocation, [gpu.index for gpu in topology.gpus], nvlink.groups(topology), near)
    return {(one.namespace, one.pod): one for one in found}


def _pod(pod: GpuPod, node: GraphNode | None, part: NodePart) -> JobPod:
    found = part.audits.get(pod.key)
    known = found is not None and not found.unidentified
    gpus = found.gpus if found is not None and known else ()
    health = {} if node is None else node.health
    return JobPod(
        name=pod.name,
        rank=pod.rank,
        node=pod.node,
        gpus={names.gpu(gpu): health.get(names.gpu(gpu), "unknown") for gpu in gpus} if known else None,
        nics=None if found is None else found.nics,
        nvlink_groups=None if found is None else found.groups,
        nvlink_groups_possible=None if found is None else found.fewest_groups,
        slowest_pair=_worst(_pair(pair) for pair in part.pairs if pair.a in gpus and pair.b in gpus),
    )


def _pair(path: PairPath) -> JobPair:
    return JobPair(
        a=names.gpu(path.a), b=names.gpu(path.b), link=names.link(path), bytes_per_second=path.bytes_per_second
    )


def _worst(pairs: Iterable[JobPair | None]) -> JobPair | None:
    """A pair whose link is not known says nothing; one of unknown rate is no slowest unless it has no NVLink."""
    known = [pair for pair in pairs if pair is not None and pair.link is not None]
    return min(known, key=_badness, default=None)


def _badness(pair: JobPair) -> tuple[bool, float]:
    rate = pair.bytes_per_second
    return (pair.link or "").startswith("NV"), float("inf") if rate is None else rate


def _tiers(nodes: list[str], graph: ClusterGraph) -> Iterator[JobTier]:
    for tier in TIERS:
        members: dict[str, list[str]] = {}
        unknown: list[str] = []
        for name in nodes:
            node = graph.nodes.get(name)
            domain = None if node is None else node.tiers.get(tier)
            (unknown if domain is None else members.setdefault(domain, [])).append(name)
        if members:
            domains = (
                JobDomain(id=key, name=graph.domains[key].name if key in graph.domains else key, nodes=tuple(inside))
                for key, inside in sorted(members.items())
            )
            yield JobTier(tier=tier, domains=tuple(domains), unknown=tuple(unknown))


def _meets(nodes: list[str], graph: ClusterGraph) -> str | None:
    if len(nodes) == 1:
        return NODE
    tiers = _tiers(nodes, graph)
    return next((one.tier for one in tiers if len(one.domains) == 1 and not one.unknown), None)


def _slowest_nic(pods: Iterable[JobPod], graph: ClusterGraph, parts: Mapping[str, NodePart]) -> SlowestNic | None:
    held: dict[str, set[str]] = {}
    for pod in pods:
        held.setdefault(pod.node, set()).update(pod.nics or ())
    found = [
        SlowestNic(node=name, nic=nic.name, bytes_per_second=rate, held=bool(own))
        for name, own in held.items()
        for nic in _nics(graph.nodes.get(name), own or {*parts[name].compute})
        for port in nic.ports
        if port.state == "ACTIVE" and (rate := port.rate_bytes_per_second)
    ]
    return min(found, key=lambda one: (one.bytes_per_second, one.node, one.nic), default=None)


def _nics(node: GraphNode | None, wanted: set[str]) -> list[Nic]:
    return [] if node is None or node.topology is None else [nic for nic in node.topology.nics if nic.name in wanted]
