"""What differs between two graphs, as a document: the ``change`` events of the aggregator.

Applied to the document of the one graph it gives the document of the other, byte for byte. What a client does not know
it keeps as it is, so the records may grow.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import document
from nvtopo.exporters.document import DomainEntry, Drift, Edge, GraphDocument, NodeEntry
from nvtopo.model.records.record import Record
from nvtopo.wire.documents import Json

T = TypeVar("T")
_RANK: Final[Mapping[str, int]] = {tier: rank for rank, tier in enumerate(TIERS)}


class DriftChange(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Findings that came and went."""

    added: tuple[Drift, ...] = ()
    removed: tuple[Drift, ...] = ()


class EdgesChange(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Cables that came and went."""

    added: tuple[Edge, ...] = ()
    removed: tuple[Edge, ...] = ()


class GraphChange(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How one generation of the graph differs from an earlier one."""

    generation: int
    previous: int
    """The generation that this is to be applied to."""
    nodes: dict[str, NodeEntry | None] = {}
    """Each node that is new or otherwise; null for one that is gone."""
    domains: dict[str, DomainEntry | None] = {}
    """By ID, each domain that is new or otherwise; null for one that is gone."""
    edges: EdgesChange = EdgesChange()
    drift: DriftChange = DriftChange()

    @property
    def empty(self) -> bool:
        """Whether only the generation differs."""
        return not (self.nodes or self.domains) and self.edges == EdgesChange() and self.drift == DriftChange()


_CHANGE: Final = Json(GraphChange, "a change of an nvtopo graph")


class _Two(NamedTuple):
    added: tuple[Any, ...]
    removed: tuple[Any, ...]


def step(before: ClusterGraph, graph: ClusterGraph) -> GraphChange:
    """From the graph that ``graph`` was built from. It costs as much as what changed.

    Raises:
        ValueError: ``graph`` was built from another one.
    """
    if graph.delta.since != before.generation:
        raise ValueError(f"expected the graph after generation {before.generation}, got that after {graph.delta.since}")
    nodes = {name: graph.nodes.get(name) for name in sorted(graph.delta.nodes)}
    domains = {name: graph.domains.get(name) for name in sorted(graph.delta.moved)}
    edges = _two(before.edges, graph.edges) if before.edges is not graph.edges else _Two((), ())
    return GraphChange(
        generation=graph.generation,
        previous=before.generation,
        nodes={name: None if node is None else document.entry(node) for name, node in nodes.items()},
        domains={
            name: None if found is None else document.domain(found, graph.identifier(found))
            for name, found in domains.items()
        },
        edges=EdgesChange(added=_edges(edges.added), removed=_edges(edges.removed)),
        drift=DriftChange(
            added=tuple(map(document.drift, sorted(graph.delta.appeared))),
            removed=tuple(map(document.drift, sorted(graph.delta.settled))),
        ),
    )


def between(before: GraphDocument, after: GraphDocument) -> GraphChange:
    """From one document to another, whichever they are."""
    edges, drift = _two(before.edges, after.edges), _two(before.drift, after.drift)
    return GraphChange(
        generation=after.generation,
        previous=before.generation,
        nodes=_differing(before.nodes, after.nodes),
        domains=_differing(before.domains, after.domains),
        edges=EdgesChange(added=edges.added, removed=edges.removed),
        drift=DriftChange(added=drift.added, removed=drift.removed),
    )


def applied(before: GraphDocument, change: GraphChange) -> GraphDocument:
    """The document after a change.

    Raises:
        ValueError: the change is not one of this generation.
    """
    if change.previous != before.generation:
        raise ValueError(f"expected a change of generation {before.generation}, got one of {change.previous}")
    domains = _put(before.domains, change.domains)
    return replace(
        before,
        generation=change.generation,
        nodes=dict(sorted(_put(before.nodes, change.nodes).items())),
        domains=dict(sorted(domains.items(), key=lambda item: _domain_order(*item))),
        edges=tuple(sorted(_patched(before.edges, change.edges), key=_edge_order)),
        drift=tuple(sorted(_patched(before.drift, change.drift), key=_drift_order)),
    )


def encode(change: GraphChange) -> bytes:
    """As JSON, in one line."""
    return msgspec.json.encode(change)


def decode(text: bytes, subject: str = "") -> GraphChange:
    """A change that an aggregator sent.

    Raises:
        ParseError: it is not one; ``subject`` is where it is from.
    """
    return _CHANGE.read(text, subject)


def _edges(cables: tuple[Any, ...]) -> tuple[Edge, ...]:
    return tuple(map(document.edge, cables))


def _two(before: tuple[Any, ...], after: tuple[Any, ...]) -> _Two:
    was, now = set(before), set(after)
    return _Two(tuple(one for one in after if one not in was), tuple(one for one in before if one not in now))


def _differing(before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, T | None]:
    names = sorted({*before, *after})
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}


def _put(before: Mapping[str, T], changes: Mapping[str, T | None]) -> dict[str, T]:
    kept = {name: entry for name, entry in before.items() if name not in changes}
    return kept | {name: entry for name, entry in changes.items() if entry is not None}


def _patched(before: tuple[Any, ...], change: DriftChange | EdgesChange) -> set[Any]:
    return ({*before} - {*change.removed}) | {*change.added}


def _domain_order(identifier: str, entry: DomainEntry) -> tuple[int, str, str]:
    """A tier that another version knows comes last."""
    return _RANK.get(entry.tier, len(_RANK)), entry.name, identifier


def _edge_order(edge: Edge) -> tuple[str, str, str, bool]:
    return edge.a, edge.b, edge.source, edge.present


def _drift_order(found: Drift) -> tuple[Any, ...]:
    said = (found.id, found.severity or "", found.domain or "", found.subject, found.evidence, found.expected)
    return found.nodes, found.kind, said, found.remedy
