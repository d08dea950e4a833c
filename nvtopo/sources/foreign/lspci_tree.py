"""``lspci -tv``: PCI functions as a tree, by name. It shows all paths, and neither NUMA nodes nor classes.

A line goes on where the one above it branched, so the column of a function says which bus it is on.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from nvtopo.model.formats.address import PciAddress, parse_pci_address
from nvtopo.model.records.facts import PciDevice, PciFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign import pci_gpus
from nvtopo.sources.foreign.given import Given, Notes

SOURCE: Final = "lspci -tv"
_TOKEN: Final = re.compile(
    r"(?P<root>\[(?P<domain>[0-9a-f]{4,8}):(?P<first>[0-9a-f]{2})\])"
    r"|-\[(?P<bus>[0-9a-f]{2})(?:-[0-9a-f]{2})?\]"
    r"|(?P<device>[0-9a-f]{2}\.[0-7])(?![0-9A-Za-z.])(?P<name> {1,4}\S.{0,200})?"
)
_ROOT: Final = re.compile(r"[-+\\|\s]{0,8}-\[[0-9a-f]{4,8}:[0-9a-f]{2}\]-")
_NVIDIA: Final = "NVIDIA Corporation"
#: Functions of NVIDIA that are no GPUs; a kernel without names prints NVSwitches by their identifiers.
_NOT_GPUS: Final = re.compile(r"Switch|Audio|USB|UCSI|Bridge|Grace|Tegra|BlueField|Device (?:1af1|1ac2|22a3|29a1)\b")
_NICS: Final = re.compile(r"Mellanox|ConnectX|Ethernet|[Nn]etwork|Infini[Bb]and|BlueField|Elastic Fabric Adapter")
_NVME: Final = re.compile(r"NVMe|Non-Volatile|NVM Express")
_MOST_FUNCTIONS: Final = 65_536
_DEEPEST: Final = 32


class PciBus(NamedTuple):
    """A bus, and what it hangs from."""

    domain: str
    bus: str
    path: str


def looks_like(given: Given) -> bool:
    """Whether the root of a tree is in the text, and a function with its name; ``lspci -t`` names none."""
    if "-[" not in given.text or not any(_ROOT.match(line[:40]) for line in given.lines):
        return False
    return any(token["name"] for line in given.lines for token in _TOKEN.finditer(line[:400]) if token["device"])


def read(given: Given) -> NodeTopology:
    """The node that has these functions.

    Raises:
        ParseError: it lists more functions than a machine has.
    """
    notes = Notes(SOURCE)
    found = dict(_functions(given.lines))
    if len(found) > _MOST_FUNCTIONS:
        raise given.refused(f"{len(found)} PCI functions", "the output of `lspci -tv` of one node")
    devices = tuple(_device(address, *found[address]) for address in sorted(found))
    names = {address: name for address, (_, name) in found.items()}
    node = pci_gpus.node(Snapshot(pci=PciFacts(devices=devices)), notes, lambda device: _product(names[device.address]))
    return replace(node, nics=pci_gpus.nics(devices), nvmes=pci_gpus.nvmes(devices))


def _functions(lines: list[str]) -> Iterator[tuple[PciAddress, tuple[str, str]]]:
    """Address → what it hangs from, and its name."""
    at: dict[int, PciBus] = {}
    count = 0
    for line in lines:
        here: PciBus | None = None
        device, path = "", ""
        for token in _TOKEN.finditer(line[:400]):
            if token["root"]:
                here = PciBus(token["domain"], token["first"], f"pci{token['domain']}:{token['first']}")
                device = ""
                at.clear()
            elif token["bus"] and device:
                here = PciBus(_domain(device), token["bus"], f"{path}/{device}")
            elif token["device"]:
                place = here or at.get(token.start())
                if place is None or place.path.count("/") > _DEEPEST:
                    break
                at[token.start()] = place
                device, path = parse_pci_address(f"{place.domain}:{place.bus}:{token['device']}"), place.path
                count += 1
                if count > _MOST_FUNCTIONS + 1:
                    return
                yield device, (path, (token["name"] or "").strip())
                if token["name"]:
                    break


def _domain(address: str) -> str:
    return address.split(":", 1)[0]


def _device(address: PciAddress, path: str, name: str) -> PciDevice:
    is_gpu = name.startswith(_NVIDIA) and address.endswith(".0") and not _NOT_GPUS.search(name)
    code = "0x030200" if is_gpu else "0x010802" if _NVME.search(name) else "0x020000" if _NICS.search(name) else ""
    is_switch = name.startswith(_NVIDIA) and "Switch" in name
    return PciDevice(
        address=address,
        path=path,
        class_code="0x068000" if is_switch else code,
        vendor="0x10de" if name.startswith(_NVIDIA) else "",
    )


def _product(name: str) -> str:
    """``H200 SXM 141GB`` of ``NVIDIA Corporation GH100 [H200 SXM 141GB]``; empty for ``Device 2335``."""
    product = name.removeprefix(_NVIDIA).strip()
    inner = re.search(r"\[([^\]]{1,80})\]", product)
    return "" if product.startswith("Device ") else inner[1] if inner else product[:80]
