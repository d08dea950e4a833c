"""NUMA nodes and CPUs on the metrics page: how memory was placed, and how busy each CPU and each node's CPUs are."""

from collections.abc import Iterator, Sequence

from nvtopo.model.samples.numa_counters import NodeCounters
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

PAGES = counter(
    "nvtopo_numa_allocated_pages_total",
    "Number of pages allocated on or meant for the NUMA node, by result (numa_hit, numa_miss, numa_foreign, "
    "other_node).",
    ("numa_node", "result"),
    source="/sys/devices/system/node/node<N>/numastat",
    absent="the kernel does not count them",
)
HUGEPAGES_FREE = gauge(
    "nvtopo_numa_hugepages_free",
    "Number of free huge pages on the NUMA node, by page size.",
    ("numa_node", "size"),
    source="/sys/devices/system/node/node<N>/hugepages/*/free_hugepages",
    absent="the node has no huge pages of that size",
)
CPU_SECONDS = counter(
    "nvtopo_numa_cpu_seconds_total",
    "CPU time of all CPUs of the NUMA node since boot, in seconds, busy or idle. Waiting for I/O counts as idle.",
    ("numa_node", "mode"),
    source="/proc/stat",
    absent="the node has no CPUs",
)
BUSY_SECONDS = counter(
    "nvtopo_cpu_busy_seconds_total",
    "Time that one CPU was busy since boot, in seconds: neither idle nor waiting for I/O.",
    ("cpu", "numa_node"),
    source="/proc/stat",
    absent="the CPU is offline",
)
CONTEXT_SWITCHES = counter(
    "nvtopo_context_switches_total",
    "Number of context switches on all CPUs since boot.",
    source="/proc/stat, ctxt",
    absent="the kernel's /proc/stat can't be read",
)
SERIES = declared(globals())


def families(nodes: Sequence[NodeCounters], context_switches: int | None) -> Iterator[Family]:
    """The families of these counters."""
    pages, free, seconds, busy = Family(PAGES), Family(HUGEPAGES_FREE), Family(CPU_SECONDS), Family(BUSY_SECONDS)
    for node in nodes:
        index = str(node.index)
        for name, count in sorted(node.allocated_pages.items()):
            pages.add(count, index, name)
        for size, count in sorted(node.free_hugepages.items()):
            free.add(count, index, size)
        if node.cpus:
            seconds.add(round(sum(cpu.busy for cpu in node.cpus.values()), 2), index, "busy")
            seconds.add(round(sum(cpu.idle for cpu in node.cpus.values()), 2), index, "idle")
        for cpu, time in node.cpus.items():
            busy.add(time.busy, str(cpu), index)
    yield pages
    yield free
    yield seconds
    yield busy
    yield one(CONTEXT_SWITCHES, context_switches)
