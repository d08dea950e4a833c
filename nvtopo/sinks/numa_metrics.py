"""NUMA nodes and CPUs on the metrics page: how memory was placed, and how busy each node's CPUs are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class NodeCounters(Protocol):
    """One NUMA node's counters since boot."""

    @property
    def index(self) -> int:
        """The node's number."""

    @property
    def allocated_pages(self) -> Mapping[str, int]:
        """Numastat's name → pages."""

    @property
    def free_hugepages(self) -> Mapping[str, int]:
        """Size → pages free now."""

    @property
    def busy_seconds(self) -> float | None:
        """All its CPUs together."""

    @property
    def idle_seconds(self) -> float | None:
        """All its CPUs together."""


def families(nodes: Sequence[NodeCounters], context_switches: int | None) -> Iterator[Metric]:
    """The families that these counters have series for."""
    pages = CounterMetricFamily(
        "nvtopo_numa_allocated_pages", "Pages by how their allocation went (numastat).", labels=["numa_node", "result"]
    )
    free = GaugeMetricFamily("nvtopo_numa_hugepages_free", "Huge pages free on the node.", labels=["numa_node", "size"])
    seconds = CounterMetricFamily(
        "nvtopo_numa_cpu_seconds", "CPU time of all CPUs of the node.", labels=["numa_node", "mode"]
    )
    for node in nodes:
        _add(pages, node.index, node.allocated_pages)
        _add(free, node.index, node.free_hugepages)
        _add(seconds, node.index, {"busy": node.busy_seconds, "idle": node.idle_seconds})
    yield from (family for family in (pages, free, seconds) if family.samples)
    if context_switches is not None:
        yield CounterMetricFamily("nvtopo_context_switches", "Of all CPUs since boot.", context_switches)


def _add(family: CounterMetricFamily | GaugeMetricFamily, index: int, values: Mapping[str, float | None]) -> None:
    for name, value in sorted(values.items()):
        if value is not None:
            family.add_metric([str(index), name], value)
