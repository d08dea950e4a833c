"""The documents of a graph as bytes, by name; and those of a part of it, of which none is kept."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from nvtopo.aggregator.served import DomainDocument, DomainsDocument, DriftDocument, NodesDocument
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.exporters import document, selection
from nvtopo.exporters.selection import Selection

GRAPH: Final = "graph"
NODES: Final = "nodes"
DOMAINS: Final = "domains"
DRIFT: Final = "drift"


def _nodes(graph: ClusterGraph) -> bytes:
    entries = {name: document.entry(node) for name, node in graph.nodes.items()}
    return msgspec.json.encode(NodesDocument(generation=graph.generation, nodes=entries))


def _domains(graph: ClusterGraph) -> bytes:
    entries = {name: document.domain(found, graph.identifier(found)) for name, found in graph.domains.items()}
    return msgspec.json.encode(DomainsDocument(generation=graph.generation, domains=entries))


def _drift(graph: ClusterGraph) -> bytes:
    found = tuple(map(document.drift, graph.drift))
    return msgspec.json.encode(DriftDocument(generation=graph.generation, drift=found))


def makers(cluster: str | None) -> Mapping[str, Callable[[ClusterGraph], bytes]]:
    """Of the cluster of this name. Each document is built at most once for a generation."""
    return {GRAPH: partial(_graph, cluster), NODES: _nodes, DOMAINS: _domains, DRIFT: _drift}


def _graph(cluster: str | None, graph: ClusterGraph) -> bytes:
    return document.encode(replace(document.of(graph), cluster=cluster))


def selected(wanted: Selection, cluster: str | None, graph: ClusterGraph) -> bytes:
    """A part of the graph."""
    return document.encode(replace(selection.of_graph(graph, wanted), cluster=cluster))


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
