"""Parts of a graph: a domain, a tier, a node, or what does not fit; from the graph itself and from its document alike.

A part is a document as the whole is. Its cost follows from the nodes that it has, not from those of the graph.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.errors import UsageError
from nvtopo.exporters import document
from nvtopo.exporters.document import GraphDocument
from nvtopo.model.formats.near import hint

_RANK: Final[Mapping[str, int]] = {tier: rank for rank, tier in enumerate(TIERS)}


class Selection(NamedTuple):
    """What is wanted; all that is given must hold."""

    domain: str | None = None
    """The nodes of this domain; of the domains it, and those that lie in it."""
    tier: str | None = None
    """The domains of this tier, and the nodes that are in one."""
    node: str | None = None
    """This node, and the domains that it is in."""
    drift: bool = False
    """The findings, and the nodes that they are about."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()


class _Port(Protocol):
    @property
    def leaf(self) -> str: ...


class _Node(Protocol):
    @property
    def tiers(self) -> Mapping[str, str]: ...
    @property
    def rails(self) -> Sequence[_Port]: ...


class _Domain(Protocol):
    @property
    def tier(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def nodes(self) -> tuple[str, ...]: ...


class _Graph(Protocol):
    @property
    def nodes(self) -> Mapping[str, _Node]: ...
    @property
    def domains(self) -> Mapping[str, _Domain]: ...
    @property
    def edges(self) -> tuple[Any, ...]: ...
    @property
    def drift(self) -> tuple[Any, ...]: ...


class _Part(NamedTuple):
    nodes: tuple[str, ...]
    domains: tuple[str, ...]
    edges: tuple[Any, ...]
    drift: tuple[Any, ...]


def of_graph(graph: ClusterGraph, selection: Selection) -> GraphDocument:
    """The part of a graph; nothing of a domain or node that is not there."""
    part = _part(graph, selection)
    domains = ((name, graph.domains[name]) for name in part.domains)
    return GraphDocument(
        generation=graph.generation,
        nodes={name: document.entry(graph.nodes[name]) for name in part.nodes},
        domains={name: document.domain(found, graph.identifier(found)) for name, found in domains},
        edges=tuple(map(document.edge, part.edges)),
        drift=tuple(map(document.drift, part.drift)),
    )


def of_document(whole: GraphDocument, selection: Selection) -> GraphDocument:
    """The part of a document."""
    if selection.whole:
        return whole
    part = _part(whole, selection)
    return replace(
        whole,
        nodes={name: whole.nodes[name] for name in part.nodes},
        domains={name: whole.domains[name] for name in part.domains},
        edges=part.edges,
        drift=part.drift,
    )


def _part(graph: _Graph, selection: Selection) -> _Part:
    if selection.whole:
        return _Part(tuple(graph.nodes), tuple(graph.domains), graph.edges, graph.drift)
    names = _nodes(graph, selection)
    domains = _domains(graph, selection, names)
    if selection.tier is not None:
        names &= {name for one in domains for name in graph.domains[one].nodes}
    drift = graph.drift
    if selection._replace(drift=False) != Selection():
        drift = tuple(found for found in drift if not names.isdisjoint(found.nodes))
    if selection.drift:
        names &= {name for found in drift for name in found.nodes}
        domains = tuple(one for one in domains if not names.isdisjoint(graph.domains[one].nodes))
    return _Part(tuple(sorted(names)), domains, _edges(graph, names, drift_alone=selection.drift), drift)


def _nodes(graph: _Graph, selection: Selection) -> set[str]:
    """Of the graph, as far as domain and node say."""
    if selection.node is not None:
        names = {selection.node} & graph.nodes.keys()
        if selection.domain is not None:
            names &= set(_members(graph, selection.domain))
        return names
    if selection.domain is not None:
        return {name for name in _members(graph, selection.domain) if name in graph.nodes}
    return set(graph.nodes)


def _members(graph: _Graph, domain: str) -> Collection[str]:
    return graph.domains[domain].nodes if domain in graph.domains else ()


def _domains(graph: _Graph, selection: Selection, names: set[str]) -> tuple[str, ...]:
    """In the order of the graph's."""
    found: Iterable[str] = {one for name in names for one in graph.nodes[name].tiers.values() if one in graph.domains}
    if selection.domain is not None and selection.node is None:
        found = {one for one in found if one == selection.domain or names >= set(graph.domains[one].nodes)}
    if selection.tier is not None:
        found = {one for one in found if graph.domains[one].tier == selection.tier}
    return tuple(sorted(found, key=lambda one: _order(graph.domains[one], one)))


def _order(domain: _Domain, identifier: str) -> tuple[int, str, str]:
    """A tier that another version knows comes last."""
    return _RANK.get(domain.tier, len(_RANK)), domain.name, identifier


def _edges(graph: _Graph, names: Collection[str], *, drift_alone: bool) -> tuple[Any, ...]:
    """Those of the nodes, and those of the switches that they are cabled to; not of these to other nodes."""
    ends = {*names, *(port.leaf for name in names for port in graph.nodes[name].rails)}

    def kept(one: str, other: str) -> bool:
        return one in ends and (other in ends or other not in graph.nodes)

    found = (edge for edge in graph.edges if kept(edge.a, edge.b) or kept(edge.b, edge.a))
    return tuple(edge for edge in found if not (drift_alone and edge.present))


def resolved(whole: GraphDocument, selection: Selection) -> Selection:
    """With the domain's ID, if it was given by its short name or identifier; of several tiers the closest.

    Raises:
        UsageError: the graph has no such domain or node.
    """
    if selection.node is not None and selection.node not in whole.nodes:
        raise UsageError(f"no node {selection.node!r} in the graph{hint(selection.node, whole.nodes)}")
    if selection.domain is None or selection.domain in whole.domains:
        return selection
    called = (one for one, entry in whole.domains.items() if selection.domain in {entry.name, entry.identifier})
    identifier = next(called, None)
    if identifier is None:
        names = [name for one, entry in whole.domains.items() for name in (entry.name, one)]
        raise UsageError(f"no domain {selection.domain!r} in the graph{hint(selection.domain, names)}")
    return selection._replace(domain=identifier)
