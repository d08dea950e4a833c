"""``lspci``, with any of -n, -nn, -D, -v to -vvv: PCI functions, their NUMA nodes and links, and the tree of bridges.

With -vv a bridge says which bus is behind it, so that paths are known; without, they are not. GPUs are numbered in
the order of their addresses, as the driver does.
"""

import re

from msgspec.structs import replace

from nvtopo.model.conclusions.pcie import generation
from nvtopo.model.formats.address import PciAddress, parse_pci_address
from nvtopo.model.records.facts import PciDevice, PcieLink, PciFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign import pci_gpus
from nvtopo.sources.foreign.given import Given, Notes
from nvtopo.sources.foreign.pci_tree import Bridge, paths

SOURCE = "lspci"
_HEAD = re.compile(
    r"((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) "
    r"(?:([A-Z0-9][A-Za-z0-9 /,&-]{1,60}?) ?(?:\[([0-9a-f]{4})\])?|([0-9a-f]{4})): (.{1,400})"
)
_IDS = re.compile(r"\[([0-9a-f]{4}):([0-9a-f]{4})\]")
_BARE_IDS = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})\b")
_BUS = re.compile(r"\s*Bus: primary=([0-9a-f]{2}), secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})")
_NUMA = re.compile(r"\s*NUMA node: ([0-9]{1,4})")
_LINK = re.compile(r"\s*Lnk(Cap|Sta):.{0,40}?Speed ([0-9.]{1,5})GT/s.{0,20}?Width x([0-9]{1,2})")
_DRIVER = re.compile(r"\s*Kernel driver in use: ([A-Za-z0-9_.-]{1,40})")
_NAME = re.compile(r"NVIDIA Corporation ([^\[\]()]{0,80})(?:\[([^\[\]:]{1,80})\])?")
_MOST_FUNCTIONS = 65_536
_LONGEST_LINE = 600

#: lspci's names of the classes that matter here; without -n it prints no numbers.
_CLASSES = {
    "VGA compatible controller": "0300",
    "3D controller": "0302",
    "Display controller": "0380",
    "Ethernet controller": "0200",
    "Infiniband controller": "0207",
    "InfiniBand controller": "0207",
    "Non-Volatile memory controller": "0108",
    "Host bridge": "0600",
    "PCI bridge": "0604",
    "Bridge": "0680",
}
_VENDORS = {"NVIDIA": "0x10de", "Mellanox": "0x15b3"}


def looks_like(given: Given) -> bool:
    """Whether a function of a known class is in the text."""
    return any(_is_head(line) for line in given.lines if ":" in line[:13])


def _is_head(line: str) -> bool:
    match = _HEAD.match(line[:_LONGEST_LINE])
    return match is not None and (match[2] in _CLASSES or match[3] is not None or _has_bare_ids(match))


def _has_bare_ids(match: re.Match[str]) -> bool:
    return match[4] is not None and _BARE_IDS.match(match[5]) is not None


def read(given: Given) -> NodeTopology:
    """The node that has these functions.

    Raises:
        ParseError: it lists more functions than a machine has.
    """
    notes = Notes(SOURCE)
    blocks = _blocks(given.lines)
    if len(blocks) > _MOST_FUNCTIONS:
        raise given.refused(f"{len(blocks)} PCI functions", "the output of `lspci` of one node")
    bridges = [bridge for address, lines in blocks.items() if (bridge := _bridge(address, lines)) is not None]
    found = paths(list(blocks), bridges, notes)
    devices = [_device(address, lines, found.get(address, "")) for address, lines in blocks.items()]
    _note_cut(blocks, notes)
    return _node(sorted(devices, key=lambda device: device.address), blocks, notes)


def _blocks(lines: list[str]) -> dict[PciAddress, list[str]]:
    """Each function's lines, its own first; of a function that is listed again, the longer block."""
    blocks: dict[PciAddress, list[str]] = {}
    current: list[str] = []
    for line in lines:
        match = _HEAD.match(line[:_LONGEST_LINE])
        if match is not None:
            address = parse_pci_address(match[1])
            current = [line[:_LONGEST_LINE]]
            if len(blocks.get(address, ())) <= 1:
                blocks[address] = current
        elif line[:1] in ("\t", " "):
            current.append(line[:_LONGEST_LINE])
    return blocks


def _bridge(address: PciAddress, lines: list[str]) -> Bridge | None:
    bus = next((match for line in lines[1:] if (match := _BUS.match(line))), None)
    return None if bus is None else Bridge(address, int(bus[2], 16))


def _device(address: PciAddress, lines: list[str], path: str) -> PciDevice:
    match = _HEAD.match(lines[0])
    assert match is not None
    ids = _IDS.search(match[5]) or (_BARE_IDS.match(match[5]) if match[4] else None)
    code = match[3] or match[4] or _CLASSES.get(match[2], "")
    vendor = next((known for word, known in _VENDORS.items() if match[5].startswith(word)), "")
    numa = next((found[1] for line in lines[1:] if (found := _NUMA.match(line))), None)
    return PciDevice(
        address=address,
        path=path,
        class_code=f"0x{code}00" if code else "",
        vendor=f"0x{ids[1]}" if ids else vendor,
        device=f"0x{ids[2]}" if ids else "",
        driver=next((found[1] for line in lines[1:] if (found := _DRIVER.match(line))), ""),
        numa_node=int(numa) if numa is not None else None,
        link=_link(lines),
    )


def _link(lines: list[str]) -> PcieLink | None:
    """The link: LnkSta is its current state, which an idle GPU lowers; LnkCap is what the function supports."""
    found = {match[1]: match for line in lines[1:] if (match := _LINK.match(line))}
    can, now = found.get("Cap"), found.get("Sta")
    if can is None and now is None:
        return None
    return PcieLink(
        generation=generation(now[2]) if now else None,
        width=int(now[3]) or None if now else None,
        max_generation=generation(can[2]) if can else None,
        max_width=int(can[3]) or None if can else None,
    )


def _note_cut(blocks: dict[PciAddress, list[str]], notes: Notes) -> None:
    """A list whose last line lacks the numbers that the others have was cut there."""
    heads = [lines[0] for lines in blocks.values()]
    if len(heads) > 1 and all(_IDS.search(head) for head in heads[:-1]) and not _IDS.search(heads[-1]):
        notes.add(list(blocks)[-1], "its line lacks the identifiers that the others have: the input is cut")


def _node(devices: list[PciDevice], blocks: dict[PciAddress, list[str]], notes: Notes) -> NodeTopology:
    facts = PciFacts(devices=tuple(devices))
    node = pci_gpus.node(Snapshot(pci=facts), notes, lambda device: _name(blocks[device.address][0]))
    return replace(node, nics=pci_gpus.nics(facts.devices), nvmes=pci_gpus.nvmes(facts.devices))


def _name(head: str) -> str:
    """``A100 SXM4 80GB`` of ``NVIDIA Corporation GA100 [A100 SXM4 80GB] [10de:20b2]``."""
    match = _NAME.search(head)
    return (match[2] or match[1]).strip() if match else ""
