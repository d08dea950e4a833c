"""Counters of NUMA nodes and CPUs: what changes with every scrape and is therefore in no snapshot.

``/sys/devices/system/node/node<n>/numastat`` counts pages by how their allocation went; CPU times are psutil's.
"""

import re
from collections.abc import Mapping

import psutil

from nvtopo.model.cpulist import parse_cpulist
from nvtopo.model.facts import Count, NumaFacts
from nvtopo.model.record import Problem, Record
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

NAME = "numa-counters"

_ROOT = "/sys/devices/system/node"
#: numastat's names → what they count.
ALLOCATIONS = {
    "numa_hit": "on the node that was wanted",
    "numa_miss": "here although another node was wanted",
    "numa_foreign": "elsewhere although this node was wanted",
    "other_node": "here by a process that ran on another node",
}
_LINE = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)


class NodeCounters(Record, frozen=True, kw_only=True):
    """One NUMA node's counters since boot."""

    index: Count
    allocated_pages: dict[str, int] = {}
    """numastat's name → pages."""
    free_hugepages: dict[str, int] = {}
    """Size, such as ``2048kB`` → pages free now."""
    busy_seconds: float | None = None
    """All its CPUs together, without idle and waiting for I/O; absent where it has none that is online."""
    idle_seconds: float | None = None


class NumaCounters(Record, frozen=True, kw_only=True):
    """Every node's counters, and the machine's."""

    nodes: tuple[NodeCounters, ...] = ()
    context_switches: int | None = None
    problems: tuple[Problem, ...] = ()


def read(root: SysfsRoot, facts: NumaFacts) -> NumaCounters:
    """The counters of these nodes now. CPU times are this machine's own: a recorded tree has none."""
    reader = SysfsReader(root, NAME)
    cpus = psutil.cpu_times(percpu=True) if root.live else []
    times = dict(zip(parse_cpulist(facts.online_cpus), cpus, strict=False))
    nodes = tuple(_node(reader, node.index, parse_cpulist(node.cpus), times) for node in facts.nodes)
    switches = psutil.cpu_stats().ctx_switches if root.live else None
    return NumaCounters(nodes=nodes, context_switches=switches, problems=tuple(reader.problems))


def _node(reader: SysfsReader, index: int, cpus: tuple[int, ...], times: Mapping[int, object]) -> NodeCounters:
    path = f"{_ROOT}/node{index}"
    own = [times[cpu] for cpu in cpus if cpu in times]
    idle = sum(_seconds(one, "idle") + _seconds(one, "iowait") for one in own)
    busy = sum(_seconds(one, name) for one in own for name in ("user", "system", "irq", "softirq", "steal"))
    return NodeCounters(
        index=index,
        allocated_pages={
            name: int(count)
            for name, count in _LINE.findall(reader.text(f"{path}/numastat") or "")
            if name in ALLOCATIONS
        },
        free_hugepages=_free_hugepages(reader, f"{path}/hugepages"),
        busy_seconds=busy if own else None,
        idle_seconds=idle if own else None,
    )


def _seconds(times: object, name: str) -> float:
    """One mode of psutil's CPU times; what ran at a lower priority (nice) is user time too."""
    value = getattr(times, name, 0.0)
    return float(value) + (float(getattr(times, "nice", 0.0)) if name == "user" else 0.0)


def _free_hugepages(reader: SysfsReader, path: str) -> dict[str, int]:
    found = {}
    for name in reader.names(path):
        free, reserved = reader.integer(f"{path}/{name}/free_hugepages"), reader.integer(f"{path}/{name}/nr_hugepages")
        if free is not None and reserved:
            found[name.removeprefix("hugepages-")] = free
    return found
