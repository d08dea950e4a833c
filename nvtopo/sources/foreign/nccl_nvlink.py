"""The NVLinks of an NCCL topology: how many, towards which PCI function. NCCL lists links that are up, and no others.

RCCL lists xGMI in the same way. A file numbers no links, so they are numbered here in the order it lists them.
"""

import re
from typing import Final, Literal, NamedTuple

from nvtopo.model.conclusions.links import XGMI
from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address, visible
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.sources.foreign.given import Notes
from nvtopo.sources.foreign.xml_tree import Element

_MOST_LINKS: Final = 64
_COUNT = re.compile("[0-9]{1,3}")
#: Seven f: NCCL prints the sentinel of a hidden NVSwitch with one digit less than the driver.
_HIDDEN = re.compile(r"f{4,8}:f{2}:f{2}\.[0-7]", re.IGNORECASE)
_KINDS: Final = ("nvlink", "xgmi")


class PciFunction(NamedTuple):
    """A PCI function that holds something, and what is above it: its CPU, then switches."""

    pci: Element
    above: tuple[Element, ...]

    @property
    def address(self) -> PciAddress | None:
        """Its PCI address, attribute ``busid``; None if it has none."""
        text = self.pci.get("busid")
        return parse_pci_address(text) if is_pci_address(text) else None


def gpu_of(place: PciFunction) -> Element:
    """The GPU that the function is."""
    return place.pci.find("gpu") or place.pci


def links(gpus: dict[int, PciFunction], notes: Notes) -> dict[int, tuple[NvLink, ...]]:
    """The links of each GPU."""
    return {index: _links_of(index, place, notes) for index, place in gpus.items()}


def short_side(a: int, b: int, gpus: dict[int, PciFunction], found: dict[int, tuple[NvLink, ...]]) -> int | None:
    """The one of two GPUs whose side lists fewer links to the other; None where they agree."""
    mine = _towards(found[a], gpus[b].address)
    theirs = _towards(found[b], gpus[a].address)
    return None if mine == theirs else a if mine < theirs else b


def _towards(found: tuple[NvLink, ...], address: PciAddress | None) -> int:
    return sum(1 for link in found if address is not None and link.remote_address == address)


def _links_of(index: int, place: PciFunction, notes: Notes) -> tuple[NvLink, ...]:
    found: list[NvLink] = []
    for element in gpu_of(place).children:
        if element.tag not in _KINDS:
            continue
        count, target = element.get("count"), _target(element.get("target"))
        if not _COUNT.fullmatch(count) or int(count) + len(found) > _MOST_LINKS:
            notes.add(f"GPU{index}", f"expected a number of links up to {_MOST_LINKS}, got {count[:20]!r}")
            continue
        if target is not None and target == place.address:
            notes.add(f"GPU{index}", "its links end at itself: the file does not say where they go")
        found += [
            NvLink(
                link=len(found) + number,
                state="active",
                version=XGMI if element.tag == "xgmi" else "",
                remote=_remote(element.get("tclass")),
                remote_address=target,
            )
            for number in range(int(count))
        ]
    return tuple(found)


def _target(text: str) -> PciAddress | None:
    if _HIDDEN.fullmatch(text) or not is_pci_address(text):
        return None
    return visible(parse_pci_address(text))


def _remote(tclass: str) -> Literal["gpu", "switch", "npu"] | None:
    """By PCI class, longest prefix first; 0x068001 is the bridge of an IBM CPU."""
    if tclass.startswith("0x068001"):
        return "npu"
    return "switch" if tclass.startswith("0x0680") else "gpu" if tclass.startswith("0x03") else None
