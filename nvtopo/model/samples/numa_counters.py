"""Counters of NUMA nodes and CPUs since boot."""

from nvtopo.model.records.record import Count, Problem, Record


class CpuSeconds(Record, frozen=True, kw_only=True):
    """What a CPU did since boot."""

    busy: float
    idle: float
    """Waiting for I/O included."""


class NodeCounters(Record, frozen=True, kw_only=True):
    """One NUMA node's counters since boot."""

    index: Count
    allocated_pages: dict[str, int] = {}
    """numastat's name → pages."""
    free_hugepages: dict[str, int] = {}
    """Size, such as ``2048kB`` → pages free now."""
    cpus: dict[Count, CpuSeconds] = {}
    """Its CPUs that are online."""


class NumaCounters(Record, frozen=True, kw_only=True):
    """Every node's counters, and the machine's."""

    nodes: tuple[NodeCounters, ...] = ()
    context_switches: int | None = None
    problems: tuple[Problem, ...] = ()
