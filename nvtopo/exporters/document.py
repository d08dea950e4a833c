"""The graph as a document: the JSON of ``nvtopo graph --format json`` and of ``GET /v1/graph``.

The records are the contract; the OpenAPI description is derived from them. What is not known is null, never zero.
"""

import msgspec

from nvtopo.cluster.domains import Domain, Silence
from nvtopo.cluster.findings import Finding, Kind
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.health import Health
from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.fabric import Verdict
from nvtopo.model.record import Problem, Record


class Place(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Where a node sits in its rack; null where its GPUs do not say or disagree."""

    chassis: str | None
    slot: int | None
    """Slot in the rack, switch trays counted."""
    tray: int | None
    """Compute tray, switch trays not counted."""
    host: int | None
    """Node within the slot."""


class NodeEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One node. Without tiers it is in no domain that anybody knows of."""

    tiers: dict[str, str]
    """Tier → domain ID, closest first."""
    gpus: int | None
    """GPUs that answer; null where the node's object cannot be read."""
    health: dict[str, Health]
    """``GPU0`` → ok, degraded, registering, fault or unknown."""
    fabric: Verdict | None
    """Where the node stands with the NVLink fabric."""
    position: Place
    problems: tuple[Problem, ...]


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
    nodes: tuple[str, ...]
    """In physical order."""
    chassis: tuple[str, ...]
    silent: tuple[SilentTrays, ...]


class Edge(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A link between two vertices of the graph, and who says so."""

    a: str
    b: str
    source: str


class Drift(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What does not fit together."""

    kind: Kind
    nodes: tuple[str, ...]
    reason: str


class GraphDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The cluster's graph at one generation."""

    generation: int
    nodes: dict[str, NodeEntry]
    domains: dict[str, DomainEntry]
    edges: tuple[Edge, ...] = ()
    """Links between switches, and from nodes to switches, once some source knows them."""
    drift: tuple[Drift, ...] = ()


def of(graph: ClusterGraph) -> GraphDocument:
    """The document of a graph."""
    return GraphDocument(
        generation=graph.generation,
        nodes={name: entry(node) for name, node in graph.nodes.items()},
        domains={name: _domain(domain) for name, domain in graph.domains.items()},
        drift=tuple(_drift(finding) for finding in graph.drift),
    )


def entry(node: GraphNode) -> NodeEntry:
    """One node of the document."""
    place = node.position
    return NodeEntry(
        tiers=dict(node.tiers),
        gpus=node.gpus,
        health=dict(node.health),
        fabric=node.fabric,
        position=Place(chassis=place.chassis, slot=place.slot, tray=place.tray, host=place.host),
        problems=node.problems,
    )


def encode(document: GraphDocument) -> bytes:
    """The document as JSON: equal graphs are equal bytes."""
    return msgspec.json.encode(document)


def pretty(document: GraphDocument) -> str:
    """The document as JSON for people, ending in a newline."""
    return msgspec.json.format(encode(document), indent=2).decode() + "\n"


def decode(text: bytes) -> GraphDocument:
    """The document that an aggregator of any version served; fields we do not know are skipped.

    Raises:
        msgspec.DecodeError: it is not one.
    """
    return msgspec.json.decode(text, type=GraphDocument)


def _domain(domain: Domain) -> DomainEntry:
    return DomainEntry(
        tier=domain.tier,
        parent=domain.parent,
        name=domain.name,
        nodes=domain.nodes,
        chassis=domain.chassis,
        silent=tuple(_silence(silence) for silence in domain.silent),
    )


def _silence(silence: Silence) -> SilentTrays:
    return SilentTrays(chassis=silence.chassis, first=silence.first, last=silence.last)


def _drift(finding: Finding) -> Drift:
    return Drift(kind=finding.kind, nodes=finding.nodes, reason=finding.reason)
