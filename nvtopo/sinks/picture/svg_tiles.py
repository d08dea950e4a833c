"""The boxes of the picture: panels, frames and tiles as SVG elements, with their health as colour and in words."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.health_kinds import Level
from nvtopo.model.conclusions.hierarchy import Branch, NumaBranch, link_of
from nvtopo.model.conclusions.pcie import Functions, narrowed
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Accelerator, Gpu, Nic, NodeTopology, Nvme
from nvtopo.sinks.document.xml import Element
from nvtopo.sinks.picture.svg_layout import Placed
from nvtopo.sinks.text.words import counted, gibibytes, nic_is_up, nvlinks, pcie, port_words, unusable

_MEMORY: Final = re.compile("[0-9] ?GB")
_WIDTH_PER_CHARACTER: Final = 0.56
"""Of the font's size; system fonts differ, and a text that is cut too early does less harm than one that runs over."""

OK, WARN, BAD, QUIET, UNKNOWN, NEUTRAL = "ok", "warn", "bad", "quiet", "unknown", "neutral"

#: Health → class of the tile; a tile's title says the health itself.
_CLASSES: Final[Mapping[Level, str]] = MappingProxyType(
    {"ok": OK, "degraded": WARN, "registering": WARN, "fault": BAD, "unknown": UNKNOWN, "stale": UNKNOWN}
)


class Facts(NamedTuple):
    """What the tiles are drawn from."""

    node: NodeTopology
    derived: Derived
    functions: Functions


class Box(NamedTuple):
    """A place in the picture."""

    x: float
    y: float
    width: float
    height: float


#: Class → size of the font, as the style sheet has it.
_SIZES: Final = {"title": 20, "heading": 14, "subtitle": 13, "name": 13, "soft": 12, "tiny": 11}


def words(at: tuple[float, float], text: str, classes: str, room: float, *, end: bool = False) -> Element:
    """One line of text, smaller or cut if there is not the room for it; ``at`` is where it begins, or ends."""
    if classes == "soft" and not _fits(text, room, _SIZES["soft"]):
        classes = "tiny"
    attributes = {"x": number(at[0]), "y": number(at[1]), "class": classes}
    if end:
        attributes["text-anchor"] = "end"
    return Element("text", attributes, [], cut(text, room, _SIZES[classes.split(" ", 1)[0]]))


def cut(text: str, room: float, size: float) -> str:
    """As much of ``text`` as fits into ``room`` pixels, with an ellipsis for the rest."""
    most = _most(room, size)
    return text if _fits(text, room, size) else text[: most - 1].rstrip() + "…"


def _most(room: float, size: float) -> int:
    return max(1, int(room / (size * _WIDTH_PER_CHARACTER)))


def _fits(text: str, room: float, size: float) -> bool:
    return len(text) <= _most(room, size)


def rectangle(box: Box, classes: str, radius: float) -> Element:
    """A rounded rectangle."""
    return Element(
        "rect",
        {
            "x": number(box.x),
            "y": number(box.y),
            "width": number(box.width),
            "height": number(box.height),
            "rx": number(radius),
            "class": classes,
        },
        [],
    )


def number(value: float) -> str:
    """A coordinate, with no more digits than a screen has pixels."""
    return f"{value:.1f}".removesuffix(".0")


def group(title: str, classes: str, children: list[Element]) -> Element:
    """Elements with a title for screen readers and tooltips."""
    return Element("g", {"class": classes}, [Element("title", {}, [], title), *children])


def drawn(placed: Placed, box: Box, facts: Facts, *, mirrored: bool) -> Element:
    """A panel, a frame or a tile. In the mirrored row the heading is at the lower edge."""
    if isinstance(placed.content, NumaBranch):
        return _panel(placed.content, box, mirrored=mirrored)
    if isinstance(placed.content, Branch):
        return _frame(placed.content, placed.level, box, mirrored=mirrored)
    first = placed.content[0]
    if isinstance(first, Gpu):
        return _gpu(first, box, facts)
    if isinstance(first, Accelerator):
        return _slot(first, box, facts)
    if isinstance(first, Nic):
        return _nic(first, box, facts)
    return _drives(tuple(device for device in placed.content if isinstance(device, Nvme)), box, facts)


def _panel(part: NumaBranch, box: Box, *, mirrored: bool) -> Element:
    name = "NUMA node not known" if part.number is None else f"NUMA node {part.number}"
    facts = [f"CPUs {part.memory.cpus}", gibibytes(part.memory.memory_bytes)] if part.memory else []
    details = " · ".join(fact for fact in facts if fact)
    y = box.y + box.height - 12 if mirrored else box.y + 22
    room = box.width - 32 - len(name) * 9
    texts = [words((box.x + 14, y), name, "heading", box.width)]
    texts.append(words((box.x + box.width - 14, y), details, "soft", room, end=True))
    return group(f"{name}: {details}" if details else name, "panel", [rectangle(box, "panel", 14), *texts])


def _frame(branch: Branch, level: int, box: Box, *, mirrored: bool) -> Element:
    bridge = level == 1
    kind = "host bridge" if bridge else "PCIe switch"
    link = "" if bridge else pcie(branch.link, steady=False)
    y = box.y + box.height - 8 if mirrored else box.y + 16
    name = branch.name or kind
    room = box.width - 24
    texts = [words((box.x + 10, y), name, "tiny", room)]
    if link and room > (len(name) + len(link) + 2) * 11 * _WIDTH_PER_CHARACTER:
        mood = " warn" if narrowed(branch.link) else ""
        texts.append(words((box.x + box.width - 10, y), link, f"tiny{mood}", room, end=True))
    title = " ".join(part for part in (kind, branch.name, link) if part)
    return group(title, "frame", [rectangle(box, "bridge" if bridge else "switch", 10), *texts])


def _gpu(gpu: Gpu, box: Box, facts: Facts) -> Element:
    link = link_of(gpu, facts.functions)
    cpus = facts.derived.cpu_affinity[gpu.index]
    lines = _lacking(gpu) or [_model(gpu), gpu.pci_address or (f"CPUs {cpus}" if cpus else "")]
    spoken = [gpu.key, gpu.name, gpu.uuid, gpu.pci_address or "", gibibytes(gpu.memory_bytes), pcie(link, steady=True)]
    level = facts.derived.health.gpus[gpu.index].level
    spoken += [nvlinks(gpu), "MIG" if gpu.mig else "", "" if level == "ok" else level]
    head = f"{gpu.key} MIG" if gpu.mig else gpu.key
    return _tile(box, f"gpu {_CLASSES[level]}", (head, _Link(pcie(link, steady=True), link)), lines, spoken)


def _slot(device: Accelerator, box: Box, facts: Facts) -> Element:
    """The place of a GPU that does not answer."""
    slot = facts.derived.health.slots.get(device.name)
    said = presence.words(device)
    head = f"GPU {device.model}"
    classes = f"slot {_CLASSES['unknown' if slot is None else slot.level]}"
    return _tile(box, classes, (head, _Link("", None)), [said, device.name], [head, device.name, said])


def _lacking(gpu: Gpu) -> list[str]:
    """How many links are usable, and which are not; nothing if all are. It is more important than the model."""
    which = unusable(gpu)
    return [nvlinks(gpu).partition(", ")[0], " · ".join(which)] if which else []


def _model(gpu: Gpu) -> str:
    """The model, and the memory where its name does not say it."""
    name = gpu.name.removeprefix("NVIDIA ")
    memory = "" if _MEMORY.search(name) else gibibytes(gpu.memory_bytes)
    return " · ".join(word for word in (name, memory) if word)


def _nic(nic: Nic, box: Box, facts: Facts) -> Element:
    link = link_of(nic, facts.functions)
    up = nic_is_up(nic)
    level = facts.derived.health.nics[nic.name].level if nic.name in facts.derived.health.nics else "ok"
    seen = UNKNOWN if up is None else OK if up else QUIET
    classes = seen if level == "ok" else _CLASSES[level]
    spoken = [nic.name, nic.pci_address or "", pcie(link, steady=False), *port_words(nic), *nic.netdevs]
    spoken.append(f"MTU {nic.mtu_bytes}" if nic.mtu_bytes else "")
    line = (port_words(nic) or [nic.pci_address or ""])[0].removesuffix(" ACTIVE")
    if up is False and nic.ports:
        line = f"DOWN · {line.removesuffix(' DOWN')}"
    return _tile(box, f"nic {classes}", (nic.name, _Link(pcie(link, steady=False), link)), [line], spoken)


def _drives(drives: tuple[Nvme, ...], box: Box, facts: Facts) -> Element:
    slow = any(narrowed(link_of(drive, facts.functions)) for drive in drives)
    links = {pcie(link_of(drive, facts.functions), steady=False) for drive in drives}
    name = drives[0].name if len(drives) == 1 else f"{counted(len(drives), 'NVMe drive')}"
    spoken = [f"{drive.name} {drive.pci_address}" for drive in drives]
    link = links.pop() if len(links) == 1 else ""
    return _tile(box, f"nvme {WARN if slow else NEUTRAL}", (name, _Link(link, None)), [], [*spoken, link])


class _Link(NamedTuple):
    """A PCIe link in words, and what it is."""

    words: str
    link: PcieLink | None


def _tile(box: Box, classes: str, head: tuple[str, _Link], lines: list[str], spoken: list[str]) -> Element:
    """A box with a stripe in the colour of its health, a name, a link, and what else is to say."""
    name, (link, width) = head
    inner = box.width - 26
    stripe = rectangle(Box(box.x, box.y + 6, 4, box.height - 12), "stripe", 2)
    beside = len(link) * 11 * _WIDTH_PER_CHARACTER + 6 if link else 0
    texts = [words((box.x + 14, box.y + 19), name, "name", inner - beside)]
    if link:
        mood = "tiny warn" if narrowed(width) else "tiny"
        texts.append(words((box.x + box.width - 10, box.y + 19), link, mood, inner, end=True))
    for position, line in enumerate(line for line in lines if line):
        texts.append(words((box.x + 14, box.y + 37 + 17 * position), line, "soft", inner))
    title = ", ".join(dict.fromkeys(word for word in spoken if word))
    return group(title, f"tile {classes}", [rectangle(box, "tile", 8), stripe, *texts])
