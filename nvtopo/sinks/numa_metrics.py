"""NUMA nodes and CPUs on the metrics page: how memory was placed, and how busy each node's CPUs are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from nvtopo.sinks.series import Family, counter, declared, gauge, one

PAGES = counter(
    "nvtopo_numa_allocated_pages_total",
    "Pages by how their allocation went (numastat).",
    ("numa_node", "result"),
    source="/sys/devices/system/node/node<N>/numastat",
    absent="the file can't be read",
)
HUGEPAGES_FREE = gauge(
    "nvtopo_numa_hugepages_free",
    "Huge pages free on the node.",
    ("numa_node", "size"),
    source="/sys/devices/system/node/node<N>/hugepages/*/free_hugepages",
    absent="the node has no huge pages of that size",
)
CPU_SECONDS = counter(
    "nvtopo_numa_cpu_seconds_total",
    "CPU time of all CPUs of the node.",
    ("numa_node", "mode"),
    source="/proc/stat",
    absent="the node has no CPUs",
)
CONTEXT_SWITCHES = counter(
    "nvtopo_context_switches_total",
    "Of all CPUs since boot.",
    source="/proc/stat, ctxt",
    absent="the page shows a recorded machine",
)
SERIES = declared(globals())


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


def families(nodes: Sequence[NodeCounters], context_switches: int | None) -> Iterator[Family]:
    """The families of these counters."""
    pages, free, seconds = Family(PAGES), Family(HUGEPAGES_FREE), Family(CPU_SECONDS)
    for node in nodes:
        _add(pages, node.index, node.allocated_pages)
        _add(free, node.index, node.free_hugepages)
        _add(seconds, node.index, {"busy": node.busy_seconds, "idle": node.idle_seconds})
    yield pages
    yield free
    yield seconds
    yield one(CONTEXT_SWITCHES, context_switches)


def _add(family: Family, index: int, values: Mapping[str, float | None]) -> None:
    for name, value in sorted(values.items()):
        family.add(value, str(index), name)
