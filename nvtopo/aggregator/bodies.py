"""The documents of a graph as bytes, by name; and those of a part of it, of which none is kept."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from nvtopo.aggregator.served import DomainDocument, DomainsDocument, DriftDocument, NodesDocument
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import document, selection
from nvtopo.exporters.selection import Selection

GRAPH: Final = "graph"
NODES: Final = "nodes"
DOMAINS: Final = "domains"
DRIFT: Final = "drift"


def _graph(graph: ClusterGraph) -> bytes:
    return document.encode(document.of(graph))


def _nodes(graph: ClusterGraph) -> bytes:
    entries = {name: document.entry(node) for name, node in graph.nodes.items()}
    return msgspec.json.encode(NodesDocument(generation=graph.generation, nodes=entries))


def _domains(graph: ClusterGraph) -> bytes:
    entries = {name: document.domain(found, graph.identifier(found)) for name, found in graph.domains.items()}
    return msgspec.json.encode(DomainsDocument(generation=graph.generation, domains=entries))


def _drift(graph: ClusterGraph) -> bytes:
    found = tuple(map(document.drift, graph.drift))
    return msgspec.json.encode(DriftDocument(generation=graph.generation, drift=found))


MAKERS: Final[Mapping[str, Callable[[ClusterGraph], bytes]]] = {
    GRAPH: _graph,
    NODES: _nodes,
    DOMAINS: _domains,
    DRIFT: _drift,
}
"""Each is built at most once for a generation."""


def selected(wanted: Selection, graph: ClusterGraph) -> bytes:
    """A part of the graph."""
    return document.encode(selection.of_graph(graph, wanted))


def domain(identifier: str, graph: ClusterGraph) -> bytes:
    """A domain that the graph has."""
    part = selection.of_graph(graph, Selection(domain=identifier))
    found = graph.domains[identifier]
    return msgspec.json.encode(
        DomainDocument(
            generation=part.generation,
            id=identifier,
            entry=document.domain(found, graph.identifier(found)),
            nodes=part.nodes,
            domains={name: one for name, one in part.domains.items() if name != identifier},
            drift=part.drift,
        )
    )
