"""Counters of NUMA nodes and CPUs. They change with every scrape, so no snapshot holds them.

``/sys/devices/system/node/node<n>/numastat`` counts pages by the result of their allocation, ``/proc/stat`` the time of
each CPU.
"""

import re
from collections.abc import Mapping
from typing import Final

from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.records.facts import NumaFacts
from nvtopo.model.samples.numa_counters import CpuSeconds, NodeCounters, NumaCounters
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
#: Of the eight columns: user, nice, system, idle, iowait, irq, softirq, steal. Guest time is part of user.
_IDLE: Final = (3, 4)
#: USER_HZ: 100 on x86 and on Arm, whatever the kernel's own HZ is.
_TICKS_PER_SECOND: Final = 100


def read(root: SysfsRoot, facts: NumaFacts) -> NumaCounters:
    """The current counters of these nodes."""
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
