"""The aggregator's metrics: what follows from the graph, once for each graph, and the figures of this moment."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nvtopo.aggregator import (
    admission_watch,
    drift_watch,
    event_writer,
    export_metrics,
    gang_metrics,
    node_load,
    rack_metrics,
    site,
    writer_metrics,
)
from nvtopo.aggregator.loop import Figures
from nvtopo.aggregator.watch import Subscribers
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.sinks.metrics import connections
from nvtopo.sinks.metrics.series import Family, Series, counter, declared, gauge, one

_EARLY: Final = "the NodeTopologies have not been listed yet"

GENERATION = gauge(
    "nvtopo_graph_generation",
    "Generation of the cluster graph. It increases with every change.",
    source="the graph",
    absent=_EARLY,
)
NODES = gauge("nvtopo_graph_nodes", "Number of nodes in the cluster graph.", source="the NodeTopologies", absent=_EARLY)
UNREADABLE = gauge(
    "nvtopo_graph_unreadable_nodes",
    "Number of nodes whose NodeTopology can't be read.",
    source="the NodeTopologies",
    absent=_EARLY,
)
GPUS = gauge(
    "nvtopo_graph_gpus", "Number of GPUs that answer, over all nodes.", source="the NodeTopologies", absent=_EARLY
)
DOMAINS = gauge(
    "nvtopo_graph_domains",
    "Number of domains in the cluster graph, by tier.",
    ("tier",),
    source="the graph",
    absent="the tier has no domain",
)
PROBLEMS = gauge(
    "nvtopo_graph_problems",
    "Number of problems that the nodes report, by source.",
    ("source",),
    source="the NodeTopologies",
    absent="no node has a problem from that source",
)
DRIFT = gauge(
    "nvtopo_graph_drift",
    "Number of findings, by kind: contradictions between GPUs or nodes, broken fabric, NVLinks without traffic.",
    ("kind",),
    source="the graph",
    absent="there is no finding of that kind",
)
HEALTH = gauge(
    "nvtopo_graph_gpu_health",
    "Number of GPUs in the cluster, by health.",
    ("health",),
    source="the NodeTopologies",
    absent="no GPU has that health",
)
EVENTS = counter(
    "nvtopo_aggregator_events_total",
    "Number of watch events that the aggregator applied. Events of one node that arrive together count once.",
    source="the watch",
)
BURSTS = counter(
    "nvtopo_aggregator_bursts_total", "Number of bursts of watch events, each applied in one step.", source="the watch"
)
BUILD = gauge(
    "nvtopo_aggregator_build_seconds", "How long the latest build of the graph took, in seconds.", source="the clock"
)
LAG = gauge(
    "nvtopo_aggregator_event_lag_seconds",
    "Time from the first event of the latest burst to the graph that contains it, in seconds.",
    source="the clock",
)
OLDEST = gauge(
    "nvtopo_aggregator_oldest_event_seconds",
    "How long the oldest watch event that the graph does not show yet has waited, in seconds; 0 if there is none.",
    source="the clock",
)
CLIENTS = gauge("nvtopo_watch_clients", "Number of clients that are connected to watch the graph.", source="the server")
DROPPED = counter(
    "nvtopo_watch_dropped_total",
    "Number of clients that were dropped because they read more slowly than the graph changes.",
    source="the server",
)
SERIES = (
    *declared(globals()),
    *writer_metrics.SERIES,
    *export_metrics.SERIES,
    *gang_metrics.SERIES,
    *node_load.SERIES,
    *connections.SERIES,
    *rack_metrics.SERIES,
    *admission_watch.SERIES,
    *drift_watch.SERIES,
    *event_writer.SERIES,
    *site.SERIES,
)


def figures(loop: Figures, watchers: Subscribers, oldest_seconds: float) -> Iterator[Family]:
    """Those of the process at this moment."""
    yield one(EVENTS, loop.events)
    yield one(BURSTS, loop.bursts)
    yield one(BUILD, loop.build_seconds)
    yield one(LAG, loop.lag_seconds)
    yield one(OLDEST, oldest_seconds)
    yield one(CLIENTS, watchers.clients)
    yield one(DROPPED, watchers.dropped)


def of_graph(graph: ClusterGraph) -> Iterator[Family]:
    """Those that follow from the graph. Before the first they are absent, not zero."""
    yield one(GENERATION, graph.generation)
    yield one(NODES, len(graph.nodes))
    yield one(UNREADABLE, sum(1 for node in graph.nodes.values() if node.in_store and node.topology is None))
    yield one(GPUS, sum(node.gpus or 0 for node in graph.nodes.values()))
    yield _counts(DOMAINS, (domain.tier for domain in graph.domains.values()))
    yield _counts(PROBLEMS, (problem.source for node in graph.nodes.values() for problem in node.problems))
    yield _counts(DRIFT, (drift.kind for drift in graph.drift))
    yield _counts(HEALTH, (word for node in graph.nodes.values() for word in node.health.values()))
    yield from rack_metrics.families(graph)


def _counts(series: Series, values: Iterator[str]) -> Family:
    family = Family(series)
    for value, count in sorted(Counter(values).items()):
        family.add(count, value)
    return family
