"""NVLinks in an hwloc topology: a matrix of bandwidths between GPUs, and CPU packages where they have links too.

A POWER CPU is a peer of its GPUs (40,000 MB/s, as between the GPUs), but not a GPU.
"""

import re
from typing import Final, Literal, NamedTuple

from nvtopo.model.records.facts import GpuFacts
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.sources.foreign.given import Notes
from nvtopo.sources.foreign.hwloc_devices import Function
from nvtopo.sources.foreign.xml_tree import Element

_NAMES = ("NVLinkBandwidth",)
_INDEX = re.compile(r"(?:([A-Za-z]{1,20}):)?([0-9]{1,9})")
_MEGABYTE = 1_000_000
_MOST_OBJECTS = 512
_MOST_LINKS = 64
#: hwloc multiplies the number of links by these, for NVLink 1, 2 to 4, and 5.
_FIRST, _SECOND, _FIFTH = 20_000, 25_000, 50_000
#: PCI device numbers from here on are Blackwell's, whose links are NVLink 5.
_FIRST_BLACKWELL = 0x2900


_REMOTES: Final[dict[str, Literal["npu", "switch"]]] = {"Package": "npu", "PCIDev": "switch"}


class Matrix(NamedTuple):
    """MB/s from each object to each other one."""

    objects: tuple[tuple[str, str], ...]
    """(type, gp_index) of each."""
    values: tuple[int, ...]


def links(
    root: Element, functions: list[Function], gpus: list[GpuFacts], notes: Notes
) -> tuple[dict[int, tuple[NvLink, ...]], bool]:
    """GPU index → its links, and whether the file shows links at all."""
    matrix = next((_matrix(element) for element in root.children if element.get("name") in _NAMES), None)
    if matrix is None:
        if len(gpus) > 1:
            notes.add("NVLink", "the file has no NVLinkBandwidth matrix: hwloc's NVML plugin writes it")
        return {}, False
    size = len(matrix.objects)
    if size * size != len(matrix.values):
        notes.add("NVLink", f"expected {size * size} bandwidths, got {len(matrix.values)}: the input is cut")
        return {}, False
    owners = _owners(functions, gpus)
    found: dict[int, list[NvLink]] = {gpu.index: [] for gpu in gpus}
    for row, (_, number) in enumerate(matrix.objects):
        mine = owners.get(number)
        for column, (kind, other) in enumerate(matrix.objects):
            value = matrix.values[row * size + column]
            if mine is not None and row != column and value:
                made = found[mine.index]
                made += _links(len(made), value, _rate(value, mine, functions), _Peer(kind, owners.get(other)))
    return {index: tuple(made[:_MOST_LINKS]) for index, made in found.items()}, True


def _matrix(element: Element) -> Matrix:
    kind = element.get("type")
    indexes = " ".join(child.text for child in element.all("indexes")).split()[:_MOST_OBJECTS]
    values = " ".join(child.text for child in element.all("u64values")).split()[: _MOST_OBJECTS**2]
    matches = [_INDEX.fullmatch(index) for index in indexes]
    return Matrix(
        tuple((match[1] or kind, match[2]) for match in matches if match is not None),
        tuple(int(value[:9]) if value.isdecimal() else 0 for value in values),
    )


def _owners(functions: list[Function], gpus: list[GpuFacts]) -> dict[str, GpuFacts]:
    """gp_index of each OS device on a GPU → the GPU."""
    by_address = {gpu.pci_address: gpu for gpu in gpus}
    return {
        device.get("gp_index"): by_address[function.device.address]
        for function in functions
        for device in function.devices
        if function.device.address in by_address
    }


class _Peer(NamedTuple):
    """The other end of a link."""

    kind: str
    gpu: GpuFacts | None

    @property
    def remote(self) -> Literal["gpu", "npu", "switch"] | None:
        """In NVML's words, for which a CPU is an NPU; what is known by its PCI function alone is an NVSwitch."""
        return "gpu" if self.gpu is not None else _REMOTES.get(self.kind)


def _links(first: int, value: int, rate: int, peer: _Peer) -> list[NvLink]:
    return [
        NvLink(
            link=first + number,
            state="active",
            bytes_per_second=rate * _MEGABYTE,
            remote=peer.remote,
            remote_address=peer.gpu.pci_address if peer.gpu is not None else None,
        )
        for number in range(min(value // rate, _MOST_LINKS))
    ]


def _rate(value: int, gpu: GpuFacts, functions: list[Function]) -> int:
    """MB/s of one link: NVLink 1 is told by a value that 25,000 does not divide, NVLink 5 by the GPU's PCI number."""
    device = next((function.device.device for function in functions if function.device.address == gpu.pci_address), "")
    if value % _SECOND and not value % _FIRST:
        return _FIRST
    number = int(device, 16) if re.fullmatch("0x[0-9a-f]{4}", device) else 0
    return _FIFTH if number >= _FIRST_BLACKWELL else _SECOND
