"""The aggregator's metrics, read from the current graph when somebody scrapes."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nvtopo.aggregator.loop import Figures
from nvtopo.cluster.graph import ClusterGraph


class Reading(NamedTuple):
    """What one scrape shows, all of one moment."""

    graph: ClusterGraph | None
    figures: Figures
    watchers: int


class GraphCollector(Collector):
    """Before the first list the graph's series are absent, not zero."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """All families."""
        graph, figures, watchers = self._read()
        if graph is not None:
            yield from _graph(graph)
        yield from _loop(figures)
        yield _gauge("nvtopo_watch_clients", "Clients that watch the graph.", watchers)

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registry that asks would read the graph before there is one."""
        return iter(())


def _graph(graph: ClusterGraph) -> Iterator[Metric]:
    gpus = sum(node.gpus or 0 for node in graph.nodes.values())
    unreadable = sum(1 for node in graph.nodes.values() if node.gpus is None)
    yield _gauge("nvtopo_graph_generation", "Generation of the graph.", graph.generation)
    yield _gauge("nvtopo_graph_nodes", "Nodes in the graph.", len(graph.nodes))
    yield _gauge("nvtopo_graph_unreadable_nodes", "Nodes whose object cannot be read.", unreadable)
    yield _gauge("nvtopo_graph_gpus", "GPUs that answer, of all nodes.", gpus)
    yield _counts("nvtopo_graph_domains", "Domains.", "tier", (domain.tier for domain in graph.domains.values()))
    problems = (problem.source for node in graph.nodes.values() for problem in node.problems)
    yield _counts("nvtopo_graph_problems", "Problems of all nodes.", "source", problems)
    yield _counts("nvtopo_graph_drift", "What does not fit together.", "kind", (drift.kind for drift in graph.drift))
    healths = (word for node in graph.nodes.values() for word in node.health.values())
    yield _counts("nvtopo_graph_gpu_health", "GPUs by health.", "health", healths)


def _loop(figures: Figures) -> Iterator[Metric]:
    events = CounterMetricFamily("nvtopo_aggregator_events", "Events of the store, merged by node.")
    events.add_metric([], figures.events)
    bursts = CounterMetricFamily("nvtopo_aggregator_bursts", "Bursts of events, each folded at once.")
    bursts.add_metric([], figures.bursts)
    yield events
    yield bursts
    yield _gauge("nvtopo_aggregator_build_seconds", "How long the latest build took.", figures.build_seconds)
    yield _gauge("nvtopo_aggregator_event_lag_seconds", "From event to graph, latest burst.", figures.lag_seconds)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)


def _counts(name: str, documentation: str, label: str, values: Iterator[str]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, count in sorted(Counter(values).items()):
        family.add_metric([value], count)
    return family
