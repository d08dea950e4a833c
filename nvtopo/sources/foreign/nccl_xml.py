"""NCCL's topology XML (``NCCL_TOPO_DUMP_FILE``), RCCL's too: CPUs, PCIe switches, GPUs, NICs, NVLinks.

Levels are NCCL's: PIX is one switch, PXB several, PHB the same ``<cpu>`` however it is reached, SYS another one. The
file is wrong in these points: switches' own link rates (16 GT/s x1 on a GB300), interfaces without a PCI
function (veth, cali, bridges) repeated below every CPU, and ``fffffff:ff:ff.0`` for an NVSwitch that the driver hides.
"""

import re
from collections.abc import Iterator
from typing import Literal

from msgspec.structs import replace

from nvtopo.model.conclusions.pcie import generation
from nvtopo.model.records.facts import NumaNode, PcieLink
from nvtopo.model.records.node import Gpu, GpuPair, Host, Nic, NicPort, NodeTopology
from nvtopo.model.records.nvlinks import NvLink, fold
from nvtopo.model.records.places import StatedLevel
from nvtopo.sources.foreign import bitmask, nccl_nvlink, xml_tree
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.nccl_nvlink import PciFunction, gpu_of
from nvtopo.sources.foreign.xml_tree import Document, Element

SOURCE = "NCCL topology"
_ROOT = "system"
_EXPECTED = "an NCCL topology, <system> with <cpu>"
#: NVLink domains have 18 hosts of 4 GPUs; one of 576 GPUs has been shown.
_MOST_HOSTS = 256
_LONGEST_NAME = 64
_NUMBER = re.compile("[0-9]{1,9}")
_MEGABIT = 1_000_000 // 8
_MEGABYTE = 1_000_000

Level = Literal["PIX", "PXB", "PHB", "SYS"]


def looks_like(given: Given) -> bool:
    """Whether a ``<system>`` with CPUs is in the text."""
    return "<cpu" in given.text and xml_tree.root_of(given, frozenset({_ROOT})) == _ROOT


def read_hosts(given: Given) -> Iterator[tuple[str, NodeTopology]]:
    """Each host's hash and node: a multi-node NVLink domain is one file, in which NCCL has fused its hosts.

    Raises:
        ParseError: it is no topology.
    """
    document = xml_tree.parse(given, _ROOT)
    document.root.unwrap()
    cpus = document.root.all("cpu")
    hosts = list(dict.fromkeys(cpu.get("host_hash") for cpu in cpus))
    if not 0 < len(hosts) <= _MOST_HOSTS:
        raise given.refused(f"{len(cpus)} CPUs of {len(hosts)} hosts", _EXPECTED)
    for host in hosts:
        name = host[:_LONGEST_NAME] if len(hosts) > 1 else ""
        yield name, _read([cpu for cpu in cpus if cpu.get("host_hash") == host], document, given)


def read(given: Given) -> NodeTopology:
    """The node of the first host in the file.

    Raises:
        ParseError: it is no topology.
    """
    return next(read_hosts(given))[1]


def _read(cpus: list[Element], document: Document, given: Given) -> NodeTopology:
    notes = Notes(SOURCE)
    if document.cut:
        notes.add("document", document.cut)
    if document.more:
        notes.add("document", f"{document.more} more of its kind follow; the first was read")
    places = [place for cpu in cpus for place in _places(cpu, notes)]
    gpus = [place for place in places if place.pci.find("gpu") or place.pci.get("class").startswith("0x03")]
    nics = [place for place in places if _nets(place) or place.pci.get("class").startswith("0x02")]
    if len(gpus) + len(nics) > MOST_DEVICES:
        raise given.refused(f"{len(cpus)} CPUs, {len(gpus)} GPUs and {len(nics)} NICs", _EXPECTED)
    if not gpus:
        notes.add("GPUs", "the file names none: it describes switches and NICs alone")
    indexed = _indexed(gpus)
    node = _node(cpus, indexed, _named(nics), notes)
    return _cut_behind(node, indexed, gpus[-1:]) if document.cut else node


def _cut_behind(node: NodeTopology, gpus: dict[int, PciFunction], last: list[PciFunction]) -> NodeTopology:
    """The node of a file that ends within or behind its last GPU: of that one some links may be cut off."""
    cut = {index for index, place in gpus.items() if place in last}
    return replace(
        node,
        gpus=tuple(replace(gpu, nvlinks_unknown=True) if gpu.index in cut else gpu for gpu in node.gpus),
        pairs=tuple(replace(pair, nvlink_short=None) if {pair.a, pair.b} & cut else pair for pair in node.pairs),
        nvlink_hidden=True,
        unseen=xml_tree.BEHIND_A_CUT,
    )


def _places(cpu: Element, notes: Notes) -> Iterator[PciFunction]:
    """Every PCI function below a CPU. Siblings with one bus id are one switch, written once for each of its devices."""
    switches: dict[tuple[int, str], Element] = {}
    todo: list[tuple[Element, tuple[Element, ...]]] = [(child, (cpu,)) for child in reversed(cpu.all("pci"))]
    while todo:
        element, above = todo.pop()
        yield PciFunction(element, above)
        below = element.all("pci")
        if below and element.get("busid"):
            same = switches.setdefault((id(above[-1]), element.get("busid")), element)
            if same is not element:
                notes.add(element.get("busid")[:32], "stands several times below one parent: taken as one switch")
                element = same
        todo += [(child, (*above, element)) for child in reversed(below)]


def _indexed(places: list[PciFunction]) -> dict[int, PciFunction]:
    """GPUs by CUDA device number; where two processes numbered theirs alike by rank, else in the file's order."""
    for attribute in ("dev", "rank"):
        numbers = [gpu_of(place).get(attribute) for place in places]
        if len(set(numbers)) == len(numbers) and all(_NUMBER.fullmatch(number) for number in numbers):
            return dict(sorted((int(number), place) for number, place in zip(numbers, places, strict=True)))
    return dict(enumerate(places))


def _named(places: list[PciFunction]) -> dict[str, PciFunction]:
    """NICs by the name of their first net, else by their address; by both where two have one name."""
    names = [next((net.get("name")[:200] for net in _nets(place)), "") or str(place.address) for place in places]
    named: dict[str, PciFunction] = {}
    for position, (name, place) in enumerate(zip(names, places, strict=True)):
        named[name if names.count(name) == 1 else f"{name}@{place.address or position}"] = place
    return named


def _nets(place: PciFunction) -> list[Element]:
    return [net for nic in place.pci.all("nic") for net in nic.all("net")]


def _node(
    cpus: list[Element], gpus: dict[int, PciFunction], nics: dict[str, PciFunction], notes: Notes
) -> NodeTopology:
    links = nccl_nvlink.links(gpus, notes)
    hidden = not any(place.pci.find("gpu") for place in gpus.values())
    if gpus and hidden:
        notes.add("NVLink", "the file names GPUs by their PCI class alone and can't show their links")
    return NodeTopology(
        host=Host(architecture=next((cpu.get("arch")[:64] for cpu in cpus), "")),
        numa=_numa(cpus, notes),
        gpus=tuple(_gpu(index, place, links.get(index, ())) for index, place in gpus.items()),
        pairs=_pairs(gpus, links, notes),
        nics=tuple(_nic(name, place) for name, place in nics.items()),
        stated=tuple(
            StatedLevel(a=f"GPU{index}", b=name, level=_level(gpu, nic))
            for index, gpu in gpus.items()
            for name, nic in nics.items()
        ),
        nvlink_hidden=hidden,
        problems=notes.problems,
    )


def _numa(cpus: list[Element], notes: Notes) -> tuple[NumaNode, ...]:
    nodes: dict[int, NumaNode] = {}
    for cpu in cpus:
        index = _numa_index(cpu)
        if index is not None:
            nodes.setdefault(index, NumaNode(index=index, cpus=_cpulist(cpu.get("affinity"), notes)))
    return tuple(node for _, node in sorted(nodes.items()))


def _numa_index(cpu: Element) -> int | None:
    """The CPU's NUMA node; None for -1, when the firmware does not state it."""
    return int(cpu.get("numaid")) if _NUMBER.fullmatch(cpu.get("numaid")) else None


def _cpulist(mask: str, notes: Notes) -> str:
    """``00000000,00ff0000`` as a list; NCCL cuts masks of more than about 900 CPUs."""
    found = bitmask.cpulist(mask)
    if mask.strip("0, ") and not found:
        notes.add("affinity", f"expected a CPU mask such as 00000000,ffffffff, got {mask[:40]!r}")
    return found


def _gpu(index: int, place: PciFunction, found: tuple[NvLink, ...]) -> Gpu:
    c2c = gpu_of(place).find("c2c")
    return Gpu(
        index=index,
        uuid="",
        pci_address=place.address,
        numa_node=_numa_index(place.above[0]),
        link=_link(place.pci),
        nvlink_count=len(found) or None,
        nvlinks=fold(found),
        c2c_links=_number(c2c, "count"),
        c2c_bytes_per_second=(_number(c2c, "bw") or 0) * _MEGABYTE or None,
    )


def _link(pci: Element) -> PcieLink | None:
    """The GPU's own link; Azure's files leave speed and width empty."""
    width = _number(pci, "link_width") or None
    speed = generation(pci.get("link_speed"))
    return PcieLink(generation=speed, width=width) if width or speed else None


def _number(element: Element | None, name: str) -> int | None:
    text = element.get(name) if element else ""
    return int(text) if _NUMBER.fullmatch(text) else None


def _nic(name: str, place: PciFunction) -> Nic:
    nets = _nets(place)
    others = tuple(net.get("name")[:200] for net in nets[1:] if net.get("name"))
    return Nic(
        name=name,
        pci_address=place.address,
        numa_node=_numa_index(place.above[0]),
        netdevs=others,
        ports=tuple(
            NicPort(
                number=_number(net, "port") or 0, rate_bytes_per_second=(_number(net, "speed") or 0) * _MEGABIT or None
            )
            for net in nets
        ),
    )


def _pairs(gpus: dict[int, PciFunction], links: dict[int, tuple[NvLink, ...]], notes: Notes) -> tuple[GpuPair, ...]:
    pairs = []
    for position, (a, one) in enumerate(gpus.items()):
        for b, other in list(gpus.items())[position + 1 :]:
            short = nccl_nvlink.short_side(a, b, gpus, links)
            if short is not None:
                notes.add(f"GPU{a}, GPU{b}", f"one-sided NVLink: GPU{short} lists fewer links to the other")
            pairs.append(GpuPair(a=a, b=b, level=_level(one, other), nvlink_short=short))
    return tuple(pairs)


def _level(one: PciFunction, other: PciFunction) -> Level:
    """By the elements and not by their bus ids: Azure's virtual switches are all called ``ffff:ff:01.0``."""
    if one.above[0] is not other.above[0]:
        same = _numa_index(one.above[0]) is not None and _numa_index(one.above[0]) == _numa_index(other.above[0])
        return "PHB" if same else "SYS"
    if one.above[-1] is other.above[-1] and len(one.above) > 1:
        return "PIX"
    return "PXB" if len(one.above) > 1 and len(other.above) > 1 and one.above[1] is other.above[1] else "PHB"
