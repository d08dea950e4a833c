"""The graph as a document: the JSON of ``nvtopo graph --format json`` and of ``GET /v1/graph``.

The records are the contract; the OpenAPI description is derived from them. What is not known is null, never zero.
"""

from typing import Final

import msgspec
from msgspec.structs import asdict

from nvtopo.cluster import zones
from nvtopo.cluster.claims import Cable, SwitchPort
from nvtopo.cluster.domains import Domain, MissingTrays
from nvtopo.cluster.findings import Kind, NodeFinding
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode, as_problem
from nvtopo.findings.finding import FindingDomain, Severity
from nvtopo.findings.problems import of_problem
from nvtopo.model.conclusions.fabric import Verdict
from nvtopo.model.conclusions.health_kinds import Level
from nvtopo.model.records.record import Problem, Record
from nvtopo.wire.documents import Json


class PositionEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Where a node sits in its rack; null where its GPUs do not say or disagree."""

    chassis: str | None
    slot: int | None
    """Slot in the rack, switch trays counted."""
    tray: int | None
    """Compute tray, switch trays not counted."""
    host: int | None
    """Node within the slot."""


class FindingEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What findings have in common. An aggregator of the release before says none of it."""

    id: str = ""
    """The check that found it."""
    severity: Severity | None = None
    domain: FindingDomain | None = None
    """Whose matter it is."""
    evidence: str = ""
    """What was read, in one sentence with the values."""
    expected: str = ""
    """What should have been read."""
    remedy: str = ""
    """What to look at or do first."""


class ProblemEntry(FindingEntry, frozen=True, kw_only=True, omit_defaults=False):
    """What is wrong with one node: a reading that failed, or a finding of the graph."""

    source: str
    """Who says so: a source of the node's agent, or ``graph``. For one more release."""
    subject: str
    """What it is about: a device, a file; of a finding of the graph its kind, for one more release."""
    reason: str
    """What ``evidence`` was, for one more release."""


class RailEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A switch port that one of the node's NICs is cabled to."""

    rail: int | None
    plane: int | None
    """Of a rail that is split over several switches."""
    nic: str
    """As the source names it: RDMA device, netdev, or port GUID."""
    leaf: str
    """The switch itself; ``tiers.leaf`` is the group of switches."""
    port: str
    source: str
    expected: str | None = None
    """The switch that it should be on, if its peers are on another; null if this is the right one, or nobody knows."""


class ZoneEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A power feed, a cooling loop, or another zone that is no part of the network."""

    zone: str
    source: str
    """Who says so: ``operator``."""


class AcceptedEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """That an operator accepted what was observed of the node."""

    at: str
    """Time in RFC 3339."""
    until: str | None
    """RFC 3339; null: until it is revoked."""
    reason: str


class NodeEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One node. Without tiers it is in no domain that anybody knows of."""

    tiers: dict[str, str]
    """Tier → domain ID, closest first."""
    tier_sources: dict[str, tuple[str, ...]] = {}
    """Tier → the sources that say so; the one that decides comes first."""
    rails: tuple[RailEntry, ...] = ()
    """By rail and plane; empty if no source knows the node's cables."""
    zones: dict[str, ZoneEntry] = {}
    """Kind, such as ``power`` → the zone of the node."""
    gpus: int | None
    """GPUs that answer; null if the node's object can't be read, or if only other sources name the node."""
    health: dict[str, Level]
    """``GPU0`` → ok, degraded, registering, fault, unknown or stale. A GPU that should be there and does not answer has
    its PCI address, or ``module 3``, for a name."""
    fabric: Verdict | None
    """Where the node stands with the NVLink fabric."""
    position: PositionEntry
    disputed: tuple[str, ...] = ()
    """GPUs, and ``place``, that another node claims too and that are not recorded as this one's: not to be used."""
    stale: bool = False
    """Whether the node's agent is not heard any more: all else is as it was then."""
    last_heard: str | None = None
    """RFC 3339, when a stale node was last heard; null where it is heard, or that is not known."""
    accepted: AcceptedEntry | None = None
    """Null if nothing is accepted: then only what is stated or learned is expected."""
    problems: tuple[ProblemEntry, ...]


class SilentTrays(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Compute trays numbered between others from which no node is known."""

    chassis: str
    first: int
    last: int


class DomainEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One domain of one tier."""

    tier: str
    parent: str | None
    name: str
    """Short and stable; names sort in physical order."""
    identifier: str | None = None
    """Zero-padded, sorts in physical order, and is kept: it never changes because another domain appears or is missing.
    Null if none of its nodes has a NodeTopology."""
    nodes: tuple[str, ...]
    """In physical order."""
    chassis: tuple[str, ...]
    silent: tuple[SilentTrays, ...]


class Edge(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A link between two vertices of the graph, and who says so."""

    a: str
    b: str
    source: str
    present: bool = True
    """False for a cable that should be there and is not."""


class Drift(FindingEntry, frozen=True, kw_only=True, omit_defaults=False):
    """What does not fit together: a finding, and the nodes that it is about."""

    subject: str = ""
    """The node, place or GPU that it is about."""
    kind: Kind
    """What ``id`` was, for one more release."""
    nodes: tuple[str, ...]
    reason: str
    """What ``evidence`` was, for one more release."""


class GraphDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The cluster's graph at one generation."""

    generation: int
    cluster: str | None = None
    """What the operator calls the cluster; null if nobody named it."""
    nodes: dict[str, NodeEntry]
    domains: dict[str, DomainEntry]
    edges: tuple[Edge, ...] = ()
    """Cables between switches, and from nodes to switches, as far as some source knows them."""
    drift: tuple[Drift, ...] = ()


_GRAPH: Final = Json(GraphDocument, "an nvtopo graph")


def of(graph: ClusterGraph) -> GraphDocument:
    """The document of a graph."""
    return GraphDocument(
        generation=graph.generation,
        nodes={name: entry(node) for name, node in graph.nodes.items()},
        domains={name: domain(found, graph.identifier(found)) for name, found in graph.domains.items()},
        edges=tuple(map(edge, graph.edges)),
        drift=tuple(map(drift, graph.drift)),
    )


def entry(node: GraphNode) -> NodeEntry:
    """One node of the document."""
    place = node.position
    return NodeEntry(
        tiers=dict(node.tiers),
        tier_sources=dict(node.tier_sources),
        rails=tuple(_rail(port) for port in node.rails),
        zones={kind: ZoneEntry(zone=zone, source=zones.SOURCE) for kind, zone in node.zones.items()},
        gpus=node.gpus,
        health=dict(node.health),
        fabric=node.fabric,
        position=PositionEntry(chassis=place.chassis, slot=place.slot, tray=place.tray, host=place.host),
        disputed=node.disputed,
        stale=node.stale,
        last_heard=node.last_heard,
        accepted=_accepted(node),
        problems=tuple(_problem(problem, node) for problem in node.problems),
    )


def _accepted(node: GraphNode) -> AcceptedEntry | None:
    one = node.accepted
    return None if one is None else AcceptedEntry(at=one.at, until=one.until, reason=one.reason)


def _rail(port: SwitchPort) -> RailEntry:
    return RailEntry(
        rail=port.rail,
        plane=port.plane,
        nic=port.nic,
        leaf=port.leaf,
        port=port.port,
        source=port.source,
        expected=port.expected or None,
    )


def encode(document: GraphDocument) -> bytes:
    """The document as JSON: equal graphs are equal bytes."""
    return msgspec.json.encode(document)


def pretty(document: GraphDocument) -> str:
    """The document as JSON for people, ending in a newline."""
    return msgspec.json.format(encode(document), indent=2).decode() + "\n"


def decode(text: bytes, subject: str = "") -> GraphDocument:
    """The document that an aggregator of any version served; fields we do not know are skipped.

    Raises:
        ParseError: it is not one; ``subject`` is where it is from.
    """
    return _GRAPH.read(text, subject)


def domain(found: Domain, identifier: str | None) -> DomainEntry:
    """One domain of the document."""
    return DomainEntry(
        tier=found.tier,
        parent=found.parent,
        name=found.name,
        identifier=identifier,
        nodes=found.nodes,
        chassis=found.chassis,
        silent=tuple(_silence(silence) for silence in found.silent),
    )


def _silence(silence: MissingTrays) -> SilentTrays:
    return SilentTrays(chassis=silence.chassis, first=silence.first, last=silence.last)


def edge(cable: Cable) -> Edge:
    """One cable of the document."""
    return Edge(a=cable.a, b=cable.b, source=cable.source, present=cable.present)


def drift(found: NodeFinding) -> Drift:
    """One finding of the document."""
    return Drift(kind=found.kind, nodes=found.nodes, reason=found.reason, **asdict(found.finding))


def _problem(problem: Problem, node: GraphNode) -> ProblemEntry:
    """With the keys of the finding that the problem stands for; a reading that failed is one as well."""
    own = (found.finding for found in node.findings if as_problem(found) == problem)
    finding = asdict(next(own, None) or of_problem(problem))
    return ProblemEntry(**finding | {"source": problem.source, "subject": problem.subject, "reason": problem.reason})
