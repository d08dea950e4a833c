"""NUMA nodes and CPUs: ``/sys/devices/system/node``, ``/sys/devices/system/cpu``."""

import re

from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.records.facts import NumaFacts, NumaNode
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "numa"

_ROOT = "/sys/devices/system"
_NODE = re.compile(r"node(\d+)")
_MEM_TOTAL = re.compile(r"MemTotal:\s+(\d+) kB")


def read(machine: Machine) -> Reading:
    """Every online node, those without CPUs included; a kernel without NUMA has none."""
    reader = SysfsReader(machine.root, NAME)
    indices = sorted(int(match[1]) for name in reader.names(f"{_ROOT}/node") if (match := _NODE.fullmatch(name)))
    online = _cpulist(reader, f"{_ROOT}/cpu/online")
    allowed = _cpulist(reader, "/sys/fs/cgroup/cpuset.cpus.effective")
    facts = NumaFacts(
        nodes=tuple(_node(reader, index) for index in indices),
        online_cpus=online,
        isolated_cpus=_cpulist(reader, f"{_ROOT}/cpu/isolated"),
        allowed_cpus=allowed if allowed != online else "",
    )
    return Reading(facts if facts != NumaFacts() else None, tuple(reader.problems))


def _node(reader: SysfsReader, index: int) -> NumaNode:
    path = f"{_ROOT}/node/node{index}"
    memory = _MEM_TOTAL.search(reader.text(f"{path}/meminfo") or "")
    return NumaNode(
        index=index,
        cpus=_cpulist(reader, f"{path}/cpulist"),
        memory_bytes=int(memory[1]) * 1024 if memory else None,
        hugepages=_hugepages(reader, f"{path}/hugepages"),
        distances=tuple(int(part) for part in (reader.text(f"{path}/distance") or "").split() if part.isdecimal()),
    )


def _hugepages(reader: SysfsReader, path: str) -> dict[str, int]:
    """Size → pages reserved on this node."""
    pages = {
        name.removeprefix("hugepages-"): reader.integer(f"{path}/{name}/nr_hugepages") for name in reader.names(path)
    }
    return {size: count for size, count in pages.items() if count}


def _cpulist(reader: SysfsReader, path: str) -> str:
    text = reader.text(path) or ""
    try:
        parse_cpulist(text)
    except ValueError as error:
        reader.problem(path, str(error))
        return ""
    return text
