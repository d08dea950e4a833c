"""NCCL's INFO log: the GPUs and NICs of a run, their CPUs, and how NCCL sees them joined.

``=== System`` is a tree by indentation. NVLinks stand there as one number of GB/s for all links, so how many there are
is not said. GPUs are called by their bus id as a number without its punctuation: ``GPU/16000`` is 0000:16:00.0.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from nvtopo.model.formats.address import PciAddress, parse_pci_address
from nvtopo.model.records.facts import RdmaDevice, RdmaFacts, RdmaPort
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.places import StatedLevel
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign.given import MOST_DEVICES, MOST_GPUS, Given, Notes

SOURCE: Final = "NCCL log"
_LINE: Final = re.compile(r":[0-9]{1,8}:[0-9]{1,8} \[[0-9]{1,4}\] NCCL INFO (.{0,4000})")
_INIT: Final = re.compile(r"ncclCommInitRank.{0,120}? nvmlDev ([0-9]{1,4}) busId ([0-9a-f]{1,12})\b")
_USING: Final = re.compile(r"\[([0-9]{1,3})\]([A-Za-z0-9_.-]{1,64}):([0-9]{1,3})/(IB|RoCE)")
_NODE: Final = re.compile(
    r"(\s{0,200})(?:\+ [A-Z0-9]{2,8}\[[0-9.]{1,12}\] - )?(CPU|GPU|PCI|NIC|NET|NVS|GIN)/([0-9a-fA-F-]{1,24})\b"
)
_PATHS: Final = re.compile(r"GPU/([0-9a-fA-F-]{1,24}) :")
_PATH: Final = re.compile(r"(GPU|NET)/([0-9a-fA-F-]{1,24}) \([0-9]{1,3}/[0-9.]{1,12}/([A-Z0-9]{2,4})\)")
_VERSION: Final = re.compile(r"cudaDriverVersion ([0-9]{1,3})0([0-9]{1,2})0")
_LAYERS: Final = {"IB": "InfiniBand", "RoCE": "Ethernet"}
_DEEPEST_SPACES: Final = 200

Level = Literal["PIX", "PXB", "PHB", "SYS"]
_LEVELS: Final[dict[str, Level]] = {"PIX": "PIX", "PXB": "PXB", "PHB": "PHB", "SYS": "SYS"}


class Said(NamedTuple):
    """What the lines of all ranks of a host say together."""

    numa: dict[int, int | None]
    """Bus id as a number → the CPU that it hangs from."""
    indices: dict[int, int]
    """Bus id as a number → NVML's index."""
    nics: dict[int, tuple[str, int, str]]
    """NCCL's number of a NIC → name, port, link layer."""
    levels: dict[tuple[int, int], Level]
    """Bus id of a GPU, NCCL's number of a NIC → level."""


def looks_like(given: Given) -> bool:
    """Whether a line of such a log that names a GPU or a NIC is in the text."""
    return "NCCL INFO" in given.text and any(_USING.search(said) or _NODE.match(said) for said in _messages(given))


def read(given: Given) -> NodeTopology:
    """The node that the run saw, which may be a part of it.

    Raises:
        ParseError: it names more devices than a node has.
    """
    notes = Notes(SOURCE)
    said = _said(list(_messages(given)))
    if len(said.numa) > MOST_GPUS or len(said.nics) > MOST_DEVICES:
        raise given.refused(f"{len(said.numa)} GPUs and {len(said.nics)} NICs", "a log of one node")
    notes.add("NVLink", "NCCL's log does not say how many links GPUs have: its topology XML does")
    numbered = _numbered(said)
    nodes = sorted({numa for numa in said.numa.values() if numa is not None})
    return replace(
        _with_nics(said),
        gpus=tuple(
            Gpu(index=index, uuid="", pci_address=_address(bus), numa_node=said.numa[bus] if len(nodes) else None)
            for index, bus in numbered.items()
        ),
        stated=tuple(_stated(said, numbered)),
        nvlink_hidden=True,
        unseen=("gpus",),
        problems=notes.problems,
    )


def _messages(given: Given) -> Iterator[str]:
    return (match[1] for line in given.lines if "NCCL INFO" in line and (match := _LINE.search(line[:4400])))


def _said(messages: list[str]) -> Said:
    said = Said({}, {}, {}, {})
    cpu: int | None = None
    for message in messages:
        init, node, paths = _INIT.search(message), _NODE.match(message), _PATHS.match(message)
        if init is not None:
            said.indices[int(init[2], 16)] = int(init[1])
            said.numa.setdefault(int(init[2], 16), None)
        elif paths is not None:
            _take_paths(_bus(paths[1]), message, said)
        elif node is not None and node[2] == "CPU" and not node[1]:
            cpu = _bus(node[3], 10)
        elif node is not None and node[2] == "GPU":
            bus = _bus(node[3])
            said.numa[bus] = cpu if said.numa.get(bus) is None else said.numa[bus]
        for number, name, port, kind in _USING.findall(message) if "Using" in message else ():
            said.nics.setdefault(int(number), (name, int(port), _LAYERS[kind]))
    return said


def _take_paths(bus: int, message: str, said: Said) -> None:
    said.numa.setdefault(bus, None)
    for kind, name, level in _PATH.findall(message):
        if kind == "NET" and level in _LEVELS:
            said.levels.setdefault((bus, _bus(name)), _LEVELS[level])


def _bus(name: str, base: int = 16) -> int:
    """The device's own number; since 2.2x the host's comes before it, ``GPU/0-16000``."""
    digits = name.rpartition("-")[2]
    return int(digits, base) if digits and (base == 16 or digits.isdecimal()) else 0  # noqa: PLR2004 - hexadecimal


def _address(bus: int) -> PciAddress:
    return parse_pci_address(f"{bus >> 20 & 0xFFFFFFFF:04x}:{bus >> 12 & 0xFF:02x}:{bus >> 4 & 0x1F:02x}.{bus & 7}")


def _numbered(said: Said) -> dict[int, int]:
    """Index → bus id: NVML's index where every GPU has one, else their order on the bus."""
    buses = sorted(said.numa)
    if all(bus in said.indices for bus in buses) and len({said.indices[bus] for bus in buses}) == len(buses):
        return dict(sorted((said.indices[bus], bus) for bus in buses))
    return dict(enumerate(buses))


def _with_nics(said: Said) -> NodeTopology:
    from nvtopo.model.conclusions.assemble import assemble

    ports: dict[str, list[RdmaPort]] = {}
    for name, port, layer in said.nics.values():
        ports.setdefault(name, []).append(RdmaPort(number=port, link_layer=layer))
    devices = tuple(RdmaDevice(name=name, ports=tuple(of_device)) for name, of_device in ports.items())
    node = assemble(Snapshot(rdma=RdmaFacts(devices=devices)))
    return replace(node, nics=tuple(sorted(node.nics, key=_by_name)))


def _by_name(nic: Nic) -> str:
    return nic.name


def _stated(said: Said, numbered: dict[int, int]) -> Iterator[StatedLevel]:
    for index, bus in numbered.items():
        named = {
            name: said.levels[bus, number] for number, (name, _, _) in said.nics.items() if (bus, number) in said.levels
        }
        for name, level in named.items():
            yield StatedLevel(a=f"GPU{index}", b=name, level=level)
