"""The PCIe tree: NUMA nodes, host bridges and switches down to GPUs, NICs and NVMe drives, with their links."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.distance import Device
from nvtopo.model.conclusions.health import Health
from nvtopo.model.conclusions.health_kinds import Level
from nvtopo.model.conclusions.hierarchy import Branch, NumaBranch, hierarchy, link_of
from nvtopo.model.conclusions.pcie import Functions, narrowed
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.node import Accelerator, Gpu, Nic, NodeTopology
from nvtopo.sinks.text.summary import problems, summary
from nvtopo.sinks.text.words import counted, gibibytes, nic_is_up, nvlinks, pcie, port_words

Style = Callable[[str, str], str]
"""Colours a text by its mood: (text, ``ok``, ``warn``, ``bad``, ``quiet`` or ``plain``) → text."""


class Glyphs(NamedTuple):
    """What the branches are drawn with."""

    fork: str
    last: str
    trunk: str
    gap: str


PLAIN: Final = Glyphs("  ", "  ", "  ", "  ")
BOX: Final = Glyphs("├─ ", "└─ ", "│  ", "   ")

_MOODS: Final[Mapping[Level, str]] = MappingProxyType(
    {"ok": "ok", "degraded": "warn", "registering": "warn", "fault": "bad", "unknown": "quiet", "stale": "quiet"}
)


class _Line(NamedTuple):
    prefix: str
    label: str
    address: str = ""
    link: str = ""
    details: str = ""
    mood: str = "plain"


def plain(text: str, _mood: str) -> str:
    """The style of a pipe: no colour."""
    return text


def render(
    node: NodeTopology, derived: Derived, functions: Functions, glyphs: Glyphs = PLAIN, style: Style = plain
) -> str:
    """The whole text; ``functions`` say how NICs, drives and switches are linked."""
    drawing = _Drawing(node, derived, functions, glyphs)
    parts = [summary(node, derived), _aligned(drawing.lines(), style)]
    parts += [_switches(node), problems(derived)]
    return "\n\n".join(part for part in parts if part) + "\n"


class _Drawing:
    """Builds the lines of one tree."""

    def __init__(self, node: NodeTopology, derived: Derived, functions: Functions, glyphs: Glyphs) -> None:
        self._node = node
        self._health = derived.health
        self._functions = functions
        self._glyphs = glyphs

    def lines(self) -> list[_Line]:
        found: list[_Line] = []
        for part in hierarchy(self._node, self._functions):
            found.append(_part(part))
            for position, bridge in enumerate(part.bridges):
                found += self._branch(bridge, "", is_last=position == len(part.bridges) - 1, depth=0)
        return found

    def _branch(self, branch: Branch, prefix: str, *, is_last: bool, depth: int) -> list[_Line]:
        link = pcie(branch.link, steady=False)
        what = f"switch {branch.name}" if depth else f"host bridge {branch.name}"
        head = _Line(
            prefix + self._turn(is_last), what.strip(), "", link, "", "warn" if narrowed(branch.link) else "quiet"
        )
        inner = prefix + (self._glyphs.gap if is_last else self._glyphs.trunk)
        count = len(branch.devices) + len(branch.branches)
        found = [head]
        for position, device in enumerate(branch.devices):
            found.append(self._device(device, inner + self._turn(position == count - 1)))
        for position, below in enumerate(branch.branches, len(branch.devices)):
            found += self._branch(below, inner, is_last=position == count - 1, depth=depth + 1)
        return found

    def _turn(self, is_last: bool) -> str:  # noqa: FBT001 - says what it is
        return self._glyphs.last if is_last else self._glyphs.fork

    def _device(self, device: Device, prefix: str) -> _Line:
        link = link_of(device, self._functions)
        words = pcie(link, steady=isinstance(device, Gpu))
        address = device.pci_address or ""
        if isinstance(device, Gpu):
            health = self._health.gpus[device.index]
            details = [*_said(health), *_gpu_details(device)]
            return _Line(prefix, device.key, address, words, ", ".join(details), _MOODS[health.level])
        if isinstance(device, Nic):
            health = self._health.nics.get(device.name, Health())
            mood = "quiet" if nic_is_up(device) is False and health.level == "ok" else _MOODS[health.level]
            return _Line(prefix, printable(device.name), address, words, ", ".join(_nic_details(device)), mood)
        if isinstance(device, Accelerator):
            mood = _MOODS[self._health.slots.get(device.name, Health("unknown")).level]
            label = "GPU" if presence.state(device) != "foreign" else "accelerator"
            return _Line(prefix, label, address, words, f"{device.model}, {presence.words(device)}", mood)
        mood = "warn" if narrowed(link) else "ok"
        return _Line(prefix, printable(device.name), address, words, "NVMe", mood)


def _said(health: Health) -> list[str]:
    """The health level if it is not ``ok``, else nothing."""
    return [] if health.level == "ok" else [health.level]


def _part(part: NumaBranch) -> _Line:
    if part.number is None:
        return _Line("", "NUMA node not known")
    cpus = f"CPUs {part.memory.cpus}" if part.memory and part.memory.cpus else ""
    size = gibibytes(part.memory.memory_bytes) if part.memory else ""
    facts = ", ".join(fact for fact in (cpus, size) if fact)
    return _Line("", f"NUMA node {part.number}" + (f": {facts}" if facts else ""))


def _gpu_details(gpu: Gpu) -> list[str]:
    c2c = counted(gpu.c2c_links, "C2C link") if gpu.c2c_links else ""
    memory = f"memory is NUMA node {gpu.memory_numa_node}" if gpu.memory_numa_node is not None else ""
    details = (printable(gpu.name), "MIG" if gpu.mig else "", nvlinks(gpu), c2c, memory)
    return [detail for detail in details if detail]


def _nic_details(nic: Nic) -> list[str]:
    mtu = f"MTU {nic.mtu_bytes}" if nic.mtu_bytes else ""
    functions = counted(nic.virtual_functions, "virtual function") if nic.virtual_functions else ""
    netdevs = [printable(name) for name in nic.netdevs if name != nic.name]
    return [detail for detail in (*port_words(nic), *netdevs, mtu, functions) if detail]


def _switches(node: NodeTopology) -> str:
    if not node.nvswitches:
        return ""
    return f"{len(node.nvswitches)} NVSwitch{'es' if len(node.nvswitches) > 1 else ''}: " + ", ".join(node.nvswitches)


def _aligned(lines: list[_Line], style: Style) -> str:
    """The lines with labels, addresses and links in columns; lines without an address do not widen the columns."""
    rows = [line for line in lines if line.address or line.details]
    label = max((len(line.prefix) + len(line.label) for line in rows), default=0)
    address = max((len(line.address) for line in rows), default=0)
    link = max((len(line.link) for line in rows), default=0)
    found = []
    for line in lines:
        if line.address or line.details:
            bare = line.label.ljust(label - len(line.prefix))
            tail = f"  {line.address:<{address}}  {line.link:<{link}}  {line.details}"
        else:
            bare, tail = line.label, f"  {line.link}"
        found.append((line.prefix + style(bare, line.mood) + tail).rstrip())
    return "\n".join(found)
