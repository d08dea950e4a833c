"""Nodes and NVLink domains on the aggregator's metrics page: where each node stands, and what each rack has.

Two series a node, one for each of its zones, and up to eight a domain: 30,000 for ten thousand nodes in racks of 18.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nvtopo.cluster.claims import NVLINK_DOMAIN
from nvtopo.cluster.domains import Domain
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.sinks.metrics.series import Family, declared, facts, gauge, info

_DOMAIN: Final = ("domain", "rack")
_NONE: Final = "no node names an NVLink domain"

NODE = info(
    "nvtopo_graph_node_info",
    "NVLink domain, rack, chassis and tray of the node, as labels; the value is always 1. Rack is the "
    "domain's short name.",
    ("node", *_DOMAIN, "chassis", "tray"),
    source="the NodeTopologies",
    absent="there are no nodes",
)
NODE_ZONE = info(
    "nvtopo_graph_node_zone_info",
    "Zone of the node by kind, such as its power feed or cooling loop, as labels; the value is always 1.",
    ("node", "kind", "zone"),
    source="zones of a ClusterTopology",
    absent="no file names a zone of the node",
)
NODE_GPUS = gauge(
    "nvtopo_graph_node_gpus",
    "Number of the node's GPUs that answer.",
    ("node",),
    source="the NodeTopologies",
    absent="the node's object can't be read",
)
STALE = gauge(
    "nvtopo_node_stale",
    "1 for a node whose agent is not heard from.",
    ("node",),
    source="the Ready condition of the agents' pods",
    absent="the node's agent is heard, or the agents' pods can't be followed",
)
DOMAIN_NODES = gauge(
    "nvtopo_graph_domain_nodes", "Number of nodes in the NVLink domain.", _DOMAIN, source="the graph", absent=_NONE
)
DOMAIN_GPUS = gauge(
    "nvtopo_graph_domain_gpus",
    "Number of GPUs in the NVLink domain that answer.",
    _DOMAIN,
    source="the graph",
    absent=_NONE,
)
SILENT_TRAYS = gauge(
    "nvtopo_graph_domain_silent_trays",
    "Number of compute trays between known trays of the NVLink domain from which no node is known.",
    _DOMAIN,
    source="the trays' numbers, by NVML's platform information",
    absent=_NONE,
)
DOMAIN_HEALTH = gauge(
    "nvtopo_graph_domain_gpu_health",
    "Number of GPUs in the NVLink domain, by health.",
    (*_DOMAIN, "health"),
    source="the NodeTopologies",
    absent="no GPU of the domain has that health",
)
SERIES = declared(globals())


def families(graph: ClusterGraph) -> Iterator[Family]:
    """The nodes and domains of one graph."""
    yield facts(NODE, (_place(node, graph) for node in graph.nodes.values()))
    yield facts(NODE_ZONE, ((node.name, *zone) for node in graph.nodes.values() for zone in node.zones.items()))
    gpus = Family(NODE_GPUS)
    for node in graph.nodes.values():
        gpus.add(node.gpus, node.name)
    yield gpus
    stale = Family(STALE)
    for node in graph.nodes.values():
        if node.stale:
            stale.add(1, node.name)
    yield stale
    yield from _domains(graph)


def _place(node: GraphNode, graph: ClusterGraph) -> tuple[str, ...]:
    domain = node.tiers.get(NVLINK_DOMAIN, "")
    rack = graph.domains[domain].name if domain else ""
    tray = node.position.tray
    return node.name, domain, rack, node.position.chassis or "", "" if tray is None else str(tray)


def _domains(graph: ClusterGraph) -> Iterator[Family]:
    nodes, gpus = Family(DOMAIN_NODES), Family(DOMAIN_GPUS)
    silent, health = Family(SILENT_TRAYS), Family(DOMAIN_HEALTH)
    for domain in graph.domains.values():
        if domain.tier != NVLINK_DOMAIN:
            continue
        labels = (domain.id, domain.name)
        members = [graph.nodes[name] for name in domain.nodes]
        nodes.add(len(members), *labels)
        gpus.add(sum(node.gpus or 0 for node in members), *labels)
        silent.add(_silent(domain), *labels)
        healths = Counter(word for node in members for word in node.health.values())
        for word, count in sorted(healths.items()):
            health.add(count, *labels, word)
    yield nodes
    yield gpus
    yield silent
    yield health


def _silent(domain: Domain) -> int:
    return sum(silence.last - silence.first + 1 for silence in domain.silent)
