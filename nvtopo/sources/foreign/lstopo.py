"""``lstopo`` on a terminal, hwloc's tree as indented text: NUMA nodes, their CPUs, PCI devices and their names.

Bridges have no address here, so levels are stated from who is below which bridge; GPUs are those with a name of CUDA's
or NVML's, or of class 3D.
"""

import re
from functools import cached_property
from typing import Final, Literal

from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import Gpu, GpuPair, Nic, NodeTopology
from nvtopo.model.records.places import StatedLevel
from nvtopo.sources.foreign.given import MOST_DEVICES, MOST_GPUS, Given, Notes

SOURCE: Final = "lstopo"
_MACHINE: Final = re.compile(r"Machine(?: L#0)? \([0-9]")
_OBJECT: Final = re.compile(r"(\s{0,120})([A-Z][A-Za-z0-9]{1,20})\b(.{0,300})")
_INDEX: Final = re.compile(r"P#([0-9]{1,5})")
_PCI: Final = re.compile(r"\s((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?:\s\(([A-Za-z0-9 ]{1,40})\))?")
_NAME: Final = re.compile(r'"([A-Za-z0-9_.-]{1,64})"')
_GPU_NAME: Final = re.compile(r"(?:cuda|nvml)([0-9]{1,4})")
_SIZE: Final = re.compile(r"\b([0-9]{1,9})\s?([KMGT])B\b")
_UNITS: Final = {"K": 10, "M": 20, "G": 30, "T": 40}

Level = Literal["PIX", "PXB", "PHB", "NODE", "SYS"]


class Object:
    """One line of the tree."""

    def __init__(self, depth: int, kind: str, text: str, above: "Object | None") -> None:
        self.depth = depth
        self.kind = kind
        self.text = text
        self.above = above
        self.below: list[Object] = []

    @cached_property
    def up(self) -> "list[Object]":
        """What it is in, from the root on."""
        found: list[Object] = []
        here = self.above
        while here is not None:
            found.append(here)
            here = here.above
        return found[::-1]

    @cached_property
    def home(self) -> "Object | None":
        """The nearest object above that has a NUMA node in it."""
        return next((up for up in reversed(self.up) if any(child.kind == "NUMANode" for child in up.below)), None)


def looks_like(given: Given) -> bool:
    """Whether the root of such a tree is in the text, with something below."""
    if "Machine" not in given.text:
        return False
    starts = (n for n, line in enumerate(given.lines) if _MACHINE.match(line[:80]))
    return any(n + 1 < len(given.lines) and _OBJECT.match(given.lines[n + 1][:400]) for n in starts)


def read(given: Given) -> NodeTopology:
    """The node that the first tree describes.

    Raises:
        ParseError: it has more devices than a node has.
    """
    notes = Notes(SOURCE)
    objects = _objects(given.lines)
    functions = {match[1]: one for one in reversed(objects) if one.kind == "PCI" and (match := _PCI.match(one.text))}
    devices = list(reversed(functions.values()))
    gpus = _gpus([one for one in devices if _is_gpu(one)])
    nics = {_nic_name(one): one for one in devices if _names(one, "OpenFabrics") or _names(one, "Net")}
    if len(gpus) > MOST_GPUS or len(nics) > MOST_DEVICES:
        raise given.refused(f"{len(gpus)} GPUs and {len(nics)} NICs", "the output of `lstopo` of one node")
    if not gpus:
        notes.add("GPUs", "no NVIDIA GPU is to be seen")
    elif len(gpus) > 1:
        notes.add("NVLink", "`lstopo` does not show it")
    return NodeTopology(
        numa=tuple(_numa(one, objects) for one in objects if one.kind == "NUMANode" and _INDEX.search(one.text)),
        gpus=tuple(Gpu(index=n, uuid="", pci_address=_address(one), numa_node=_near(one)) for n, one in gpus.items()),
        pairs=tuple(
            GpuPair(a=a, b=b, level=_level(one, other)) for a, one in gpus.items() for b, other in gpus.items() if a < b
        ),
        nics=tuple(_nic(name, one) for name, one in nics.items()),
        stated=tuple(
            StatedLevel(a=f"GPU{n}", b=name, level=_level(one, nic))
            for n, one in gpus.items()
            for name, nic in nics.items()
        ),
        nvlink_hidden=len(gpus) > 1,
        problems=notes.problems,
    )


def _objects(lines: list[str]) -> list[Object]:
    """Every object of the first tree, which ends where a line is not indented."""
    start = next(n for n, line in enumerate(lines) if _MACHINE.match(line[:80]))
    root = Object(-1, "Machine", lines[start], None)
    found = [root]
    last = root
    for line in lines[start + 1 :]:
        match = _OBJECT.match(line[:500])
        if match is None or not match[1]:
            break
        while last.depth >= len(match[1]) and last.above is not None:
            last = last.above
        last = Object(len(match[1]), match[2], match[3], last)
        assert last.above is not None
        last.above.below.append(last)
        found.append(last)
    return found


def _names(one: Object, kind: str) -> list[str]:
    return [name[1] for child in one.below if child.kind.startswith(kind) and (name := _NAME.search(child.text))]


def _is_gpu(one: Object) -> bool:
    said = [name[1] for child in one.below if (name := _NAME.search(child.text))]
    match = _PCI.match(one.text)
    return any(_GPU_NAME.fullmatch(name) for name in said) or bool(match and match[2] == "3D")


def _gpus(found: list[Object]) -> dict[int, Object]:
    """By the number in their name where all have one, else in their order."""
    numbers = [next((int(m[1]) for c in one.below if (m := _GPU_NAME.search(c.text))), None) for one in found]
    if None not in numbers and len(set(numbers)) == len(numbers):
        return dict(sorted((number or 0, one) for number, one in zip(numbers, found, strict=True)))
    return dict(enumerate(found))


def _address(one: Object) -> PciAddress | None:
    match = _PCI.match(one.text)
    text = "" if match is None else match[1] if match[1].count(":") > 1 else f"0000:{match[1]}"
    return parse_pci_address(text) if is_pci_address(text) else None


def _nic_name(one: Object) -> str:
    return next(iter(_names(one, "OpenFabrics") or _names(one, "Net")))


def _nic(name: str, one: Object) -> Nic:
    netdevs = tuple(found for found in _names(one, "Net") if found != name)
    return Nic(name=name, pci_address=_address(one), numa_node=_near(one), netdevs=netdevs)


def _near(one: Object) -> int | None:
    home = one.home
    nodes = [] if home is None else [m[1] for c in home.below if c.kind == "NUMANode" and (m := _INDEX.search(c.text))]
    return int(nodes[0]) if len(nodes) == 1 else None


def _numa(one: Object, objects: list[Object]) -> NumaNode:
    index, size = _INDEX.search(one.text), _SIZE.search(one.text)
    cpus = [
        int(found[-1])
        for pu in objects
        if "PU L#" in f"{pu.kind}{pu.text}" and pu.home is one.above and (found := _INDEX.findall(pu.text))
    ]
    return NumaNode(
        index=int(index[1]) if index else 0,
        cpus=format_cpulist(sorted(set(cpus))),
        memory_bytes=int(size[1]) << _UNITS[size[2]] if size else None,
    )


def _level(one: Object, other: Object) -> Level:
    """By the bridges that both are below; by their NUMA node where that is none."""
    mine, theirs = one.up, other.up
    shared = [up for up, same in zip(mine, theirs, strict=False) if up is same]
    if shared[-1].kind == "PCIBridge":
        return "PIX" if mine[-1] is theirs[-1] else "PXB"
    if any(up.kind in ("HostBridge", "Bridge") for up in shared):
        return "PHB"
    return "NODE" if one.home is not None and one.home is other.home else "SYS"
