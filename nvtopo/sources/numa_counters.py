"""Counters of NUMA nodes and CPUs: what changes with every scrape and is therefore in no snapshot.

``/sys/devices/system/node/node<n>/numastat`` counts pages by how their allocation went, ``/proc/stat`` what each CPU
did.
"""

import re
from collections.abc import Mapping
from typing import Final

from nvtopo.model.cpulist import parse_cpulist
from nvtopo.model.facts import Count, NumaFacts
from nvtopo.model.record import Problem, Record
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

NAME: Final = "numa-counters"

_ROOT: Final = "/sys/devices/system/node"
#: numastat's names → what they count.
ALLOCATIONS: Final = {
    "numa_hit": "on the node that was wanted",
    "numa_miss": "here although another node was wanted",
    "numa_foreign": "elsewhere although this node was wanted",
    "other_node": "here by a process that ran on another node",
}
_LINE: Final = re.compile(r"^(\w+) (\d+)$", re.MULTILINE)
_CPU: Final = re.compile(r"^cpu(\d+) (\d+(?: \d+){7})", re.MULTILINE)
#: Of the eight columns: user, nice, system, idle, iowait, irq, softirq, steal. What guests use is in user already.
_IDLE: Final = (3, 4)
#: USER_HZ, which is 100 on x86 and on Arm whatever the kernel's own HZ.
_TICKS_PER_SECOND: Final = 100


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


def read(root: SysfsRoot, facts: NumaFacts) -> NumaCounters:
    """The counters of these nodes now."""
    reader = SysfsReader(root, NAME)
    stat = reader.text("/proc/stat") or ""
    cpus = {int(number): _cpu(columns) for number, columns in _CPU.findall(stat)}
    nodes = tuple(_node(reader, node.index, parse_cpulist(node.cpus), cpus) for node in facts.nodes)
    switches = dict(_LINE.findall(stat)).get("ctxt")
    return NumaCounters(
        nodes=nodes, context_switches=None if switches is None else int(switches), problems=tuple(reader.problems)
    )


def _cpu(columns: str) -> CpuSeconds:
    ticks = [int(column) for column in columns.split()]
    idle = sum(ticks[column] for column in _IDLE)
    return CpuSeconds(busy=(sum(ticks) - idle) / _TICKS_PER_SECOND, idle=idle / _TICKS_PER_SECOND)


def _node(reader: SysfsReader, index: int, own: tuple[int, ...], cpus: Mapping[int, CpuSeconds]) -> NodeCounters:
    path = f"{_ROOT}/node{index}"
    counted = _LINE.findall(reader.text(f"{path}/numastat") or "")
    return NodeCounters(
        index=index,
        allocated_pages={name: int(count) for name, count in counted if name in ALLOCATIONS},
        free_hugepages=_free_hugepages(reader, f"{path}/hugepages"),
        cpus={cpu: cpus[cpu] for cpu in own if cpu in cpus},
    )


def _free_hugepages(reader: SysfsReader, path: str) -> dict[str, int]:
    found = {}
    for name in reader.names(path):
        free, reserved = reader.integer(f"{path}/{name}/free_hugepages"), reader.integer(f"{path}/{name}/nr_hugepages")
        if free is not None and reserved:
            found[name.removeprefix("hugepages-")] = free
    return found
