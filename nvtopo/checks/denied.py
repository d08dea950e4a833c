"""What a check reads and may not be read here: no check passes for the lack of it."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from nvtopo.checks.check import NODE, Machine, Unknown
from nvtopo.model.conclusions import unread
from nvtopo.model.formats.address import is_pci_address
from nvtopo.model.records.node import Accelerator, Gpu, Nic, NodeTopology, Nvme
from nvtopo.model.records.record import Problem

_ALTERNATIVES: Final = re.compile(r"\{([^{}]*)\}")
_BETWEEN: Final = re.compile(r",\s*(?![^{]*\})")
#: How a problem calls a device that hangs → where its files are.
_DEVICES: Final = {"pci": "/sys/bus/pci/devices", "net": "/sys/class/net", "rdma": "/sys/class/infiniband"}
_NVML: Final = "nvml"
_FIELDS: Final = "nvmlDeviceGetFieldValues"


def of_node(machine: Machine) -> tuple[Problem, ...]:
    """The problems with NVML's calls and with files; of PCI functions only with those that matter here.

    The subjects of files are paths. A device that hangs is the path of all its files.
    """
    if not machine.node.problems:
        return ()
    matter = _functions(machine.node)
    return tuple(problem for problem in map(_at_its_path, machine.node.problems) if _matters(problem, matter))


def unknown(reads: str, problems: Iterable[Problem]) -> Iterator[Unknown]:
    """Why a check that reads these files can't know: the first of them that can't be read, and how many there are."""
    found = [problem for problem in problems if _touches(reads, problem)]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        yield Unknown(NODE, f"{found[0].subject} could not be read: {found[0].reason}{more}")


def _at_its_path(problem: Problem) -> Problem:
    folder = _DEVICES.get(problem.source)
    if folder is None or problem.subject.startswith("/") or not problem.reason.startswith(unread.HANGS):
        return problem
    path = folder if problem.subject == problem.source else f"{folder}/{problem.subject}"
    return Problem(source=problem.source, subject=path, reason=problem.reason)


def _functions(node: NodeTopology) -> frozenset[str]:
    """GPUs, NICs and drives, and the bridges above them."""
    places: tuple[Gpu | Accelerator | Nic | Nvme, ...] = (*node.gpus, *node.accelerators, *node.nics, *node.nvmes)
    found: set[str] = {place.pci_address for place in places if place.pci_address is not None}
    return frozenset(found | {bridge for place in places for bridge in place.path.split("/")})


def _matters(problem: Problem, functions: frozenset[str]) -> bool:
    if problem.source == _NVML:
        return True
    if not problem.subject.startswith("/"):
        return False
    if problem.source != "pci" or unread.hides_a_device(problem.source, problem.subject):
        return True
    addresses = [part for part in problem.subject.split("/") if is_pci_address(part)]
    return not addresses or addresses[0] in functions


def _touches(reads: str, problem: Problem) -> bool:
    if problem.source == _NVML:
        call = problem.reason.partition(":")[0]
        return (call.startswith(_NVML) and call in reads) or (call == _FIELDS and "NVML field" in reads)
    return any(pattern.fullmatch(problem.subject) for pattern in _patterns(reads)) or (
        _reads_devices(reads, problem.source) and unread.hides_a_device(problem.source, problem.subject)
    )


@cache
def _reads_devices(reads: str, source: str) -> bool:
    return any(part.startswith(_DEVICES[source]) for part in _parts(reads)) if source in _DEVICES else False


@cache
def _patterns(reads: str) -> tuple[re.Pattern[str], ...]:
    """The files that such words name, what is below a folder, and the folders that list a ``*``; a device is a link."""
    found = []
    for part in _parts(reads):
        path = re.escape(part).replace(r"\*", "[^/]*")
        is_device = part.endswith("/*") or part in _DEVICES.values()
        found.append(re.compile(path if is_device else f"{path}(/.*)?"))
        steps = part.split("/")
        for end, step in enumerate(steps):
            if "*" in step:
                above = "/".join(map(re.escape, steps[:end])).replace(r"\*", "[^/]*")
                found.append(re.compile(above))
    return tuple(found)


def _parts(reads: str) -> tuple[str, ...]:
    """``/a/b`` and ``/a/c`` of ``/a/{b,c}, a call``."""
    found: list[str] = []
    for part in _BETWEEN.split(reads):
        found += _expanded(part) if part.startswith("/") else ()
    return tuple(found)


def _expanded(part: str) -> Iterator[str]:
    match = _ALTERNATIVES.search(part)
    if match is None:
        yield part
        return
    for choice in match[1].split(","):
        yield from _expanded(part[: match.start()] + choice.strip() + part[match.end() :])
