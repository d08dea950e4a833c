"""The aggregator's metrics, read from the current graph when somebody scrapes."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.aggregator import rack_metrics
from nvtopo.aggregator.loop import Figures
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.sinks.metrics.series import Family, Series, counter, declared, gauge, one

_EARLY: Final = "the NodeTopologies have not been listed yet"

GENERATION = gauge("nvtopo_graph_generation", "Generation of the graph.", source="the graph", absent=_EARLY)
NODES = gauge("nvtopo_graph_nodes", "Nodes in the graph.", source="the NodeTopologies", absent=_EARLY)
UNREADABLE = gauge(
    "nvtopo_graph_unreadable_nodes", "Nodes whose object cannot be read.", source="the NodeTopologies", absent=_EARLY
)
GPUS = gauge("nvtopo_graph_gpus", "GPUs that answer, of all nodes.", source="the NodeTopologies", absent=_EARLY)
DOMAINS = gauge("nvtopo_graph_domains", "Domains.", ("tier",), source="the graph", absent="the tier has none")
PROBLEMS = gauge(
    "nvtopo_graph_problems",
    "Problems of all nodes.",
    ("source",),
    source="the NodeTopologies",
    absent="the source has none",
)
DRIFT = gauge(
    "nvtopo_graph_drift", "What does not fit together.", ("kind",), source="the graph", absent="there is none of it"
)
HEALTH = gauge(
    "nvtopo_graph_gpu_health", "GPUs by health.", ("health",), source="the NodeTopologies", absent="no GPU is so"
)
EVENTS = counter("nvtopo_aggregator_events_total", "Events of the store, merged by node.", source="the watch")
BURSTS = counter("nvtopo_aggregator_bursts_total", "Bursts of events, each folded at once.", source="the watch")
BUILD = gauge("nvtopo_aggregator_build_seconds", "How long the latest build took.", source="the clock")
LAG = gauge("nvtopo_aggregator_event_lag_seconds", "From event to graph, latest burst.", source="the clock")
CLIENTS = gauge("nvtopo_watch_clients", "Clients that watch the graph.", source="the server")
SERIES = (*declared(globals()), *rack_metrics.SERIES)


class Reading(NamedTuple):
    """What one scrape shows, all of one moment."""

    graph: ClusterGraph | None
    figures: Figures
    watchers: int


def families(reading: Reading) -> Iterator[Family]:
    """All families. Before the first list the graph's series are absent, not zero."""
    graph, figures, watchers = reading
    if graph is not None:
        yield from _graph(graph)
    yield one(EVENTS, figures.events)
    yield one(BURSTS, figures.bursts)
    yield one(BUILD, figures.build_seconds)
    yield one(LAG, figures.lag_seconds)
    yield one(CLIENTS, watchers)


def _graph(graph: ClusterGraph) -> Iterator[Family]:
    yield one(GENERATION, graph.generation)
    yield one(NODES, len(graph.nodes))
    yield one(UNREADABLE, sum(1 for node in graph.nodes.values() if node.gpus is None))
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
