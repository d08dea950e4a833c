"""hwloc's XML (``lstopo topo.xml``), of any version: NUMA nodes, the PCI tree, and the devices of the OS on it.

GPUs are those that the CUDA or NVML plugin saw; in a file without these plugins, those of the PCI bus. A PCI tree
whose locality is a group of NUMA nodes is near to all of them: then its NUMA node is not known, its CPUs are.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.model.conclusions import presence
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.records.facts import HostFacts, NumaFacts, NumaNode, NvmlFacts, PciDevice, PciFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign import hwloc_devices, hwloc_nvlink, pci_gpus, xml_tree
from nvtopo.sources.foreign.bitmask import cpulist, members
from nvtopo.sources.foreign.given import MOST_DEVICES, Given, Notes
from nvtopo.sources.foreign.hwloc_devices import Function
from nvtopo.sources.foreign.xml_tree import Element

SOURCE = "hwloc"
_ROOT = "topology"
_IO = frozenset({"Bridge", "PCIDev", "OSDev", "Misc"})
_LONGEST = 200
_BUSES = re.compile(r"([0-9a-f]{4,8}):\[([0-9a-f]{2})-([0-9a-f]{2})\]")


class Buses(NamedTuple):
    """What is behind a bridge, as ``0000:[81-82]`` says it."""

    domain: int
    first: int
    last: int

    def hold(self, address: PciAddress) -> bool:
        """Whether a function is on one of them."""
        domain, bus, _ = address.split(":")
        return int(domain, 16) == self.domain and self.first <= int(bus, 16) <= self.last


class Object(NamedTuple):
    """An object of the tree: what holds it, and the bridges above it, root first."""

    element: Element
    place: Element
    """The nearest object above that is no I/O: it says which CPUs and NUMA nodes are near."""
    path: tuple[str, ...]
    behind: Buses | None
    """The buses of the last bridge above."""


def looks_like(given: Given) -> bool:
    """Whether a ``<topology>`` with objects is in the text."""
    return "<object " in given.text and xml_tree.root_of(given, frozenset({_ROOT})) == _ROOT


def read(given: Given) -> NodeTopology:
    """The node that the file describes.

    Raises:
        ParseError: it holds no machine.
    """
    document = xml_tree.parse(given, _ROOT)
    notes = Notes(SOURCE)
    if document.cut:
        notes.add("document", document.cut)
    if document.more:
        notes.add("document", f"{document.more} more of its kind follow; the first was read")
    objects = list(_objects(document.root))
    if not objects:
        raise given.refused("a <topology> without objects", "hwloc's <topology> of a machine")
    node = _node(document.root, objects, notes)
    if not document.cut:
        return node
    # What the driver says of a GPU stands behind its function: a GPU before the cut is not one that does not answer.
    problems = tuple(problem for problem in node.problems if problem.source == SOURCE)
    return replace(node, accelerators=(), nvlink_hidden=True, unseen=xml_tree.BEHIND_A_CUT, problems=problems)


def _objects(root: Element) -> Iterator[Object]:
    todo = [Object(child, child, (), None) for child in reversed(root.all("object"))]
    while todo:
        found = todo.pop()
        yield found
        element, place, path, behind = found
        kind = element.get("type")
        if kind not in _IO:
            place = element
        elif kind == "Bridge" and (step := _step(element)):
            path, behind = (*path, step), _buses(element)
        todo += [Object(child, place, path, behind) for child in reversed(element.all("object"))]


def _buses(bridge: Element) -> Buses | None:
    match = _BUSES.fullmatch(bridge.get("bridge_pci"))
    return None if match is None else Buses(*(int(number, 16) for number in match.groups()))


def _step(bridge: Element) -> str:
    """``pci0000:00`` for a host bridge with ``0000:[00-05]``, else the bridge's own address."""
    address = bridge.get("pci_busid")
    if is_pci_address(address):
        return parse_pci_address(address)
    buses = _buses(bridge)
    return "" if buses is None else f"pci{buses.domain:04x}:{buses.first:02x}"


def _node(root: Element, objects: list[Object], notes: Notes) -> NodeTopology:
    hosts = [found.element for found in objects if found.element.get("type") == "Bridge" and not found.path]
    functions = [function for found in objects if (function := _function(found, hosts, notes)) is not None]
    gpus, asked = hwloc_devices.gpus(functions, notes)
    gpus = gpus[:MOST_DEVICES]
    links, shown = hwloc_nvlink.links(root, functions, gpus, notes)
    facts = Snapshot(
        host=_host(objects[0].element),
        numa=_numa(objects),
        pci=PciFacts(devices=tuple(function.device for function in functions)) if functions else None,
        net=hwloc_devices.net(functions),
        rdma=hwloc_devices.rdma(functions),
        problems=notes.problems,
    )
    if not gpus:
        return pci_gpus.node(facts, Notes(SOURCE))
    with_links = tuple(replace(gpu, nvlinks=links.get(gpu.index, ())) for gpu in gpus)
    node = assemble(replace(facts, nvml=NvmlFacts(gpus=with_links)))
    node = replace(node, nvlink_hidden=len(gpus) > 1 and not shown)
    return node if asked == "nvml" else _without_silence(node)


def _without_silence(node: NodeTopology) -> NodeTopology:
    """A node of which CUDA alone was asked: a GPU that it does not name may be hidden, too old, or without a driver."""
    silent = presence.of_state(node, "silent")
    if not silent:
        return node
    said = "is a GPU on the PCI bus that CUDA does not name: whether the driver answers for it is not known"
    problems = [problem for problem in node.problems if problem.source != "nvml"]
    problems += [Problem(source=SOURCE, subject=device.name, reason=said) for device in silent]
    kept = tuple(device for device in node.accelerators if device not in silent)
    return replace(node, accelerators=kept, nvlink_hidden=True, unseen=("gpus",), problems=tuple(problems))


def _host(machine: Element) -> HostFacts:
    about = hwloc_devices.infos(machine)
    return HostFacts(
        name="",
        architecture=about.get("Architecture", "")[:_LONGEST],
        kernel=about.get("OSRelease", "")[:_LONGEST],
        vendor=about.get("DMISysVendor", "")[:_LONGEST],
        product=about.get("DMIProductName", "")[:_LONGEST],
    )


def _numa(objects: list[Object]) -> NumaFacts:
    nodes: dict[int, NumaNode] = {}
    for found in objects:
        element = found.element
        index = element.get("os_index")
        if element.get("type") == "NUMANode" and index.isdecimal() and len(index) <= len("99999"):
            memory = element.get("local_memory")
            nodes.setdefault(
                int(index),
                NumaNode(
                    index=int(index),
                    cpus=cpulist(element.get("cpuset")),
                    memory_bytes=int(memory) if memory.isdecimal() and len(memory) <= len("9" * 18) else None,
                ),
            )
    machine = objects[0].element
    online, allowed = cpulist(machine.get("cpuset")), cpulist(machine.get("allowed_cpuset"))
    return NumaFacts(nodes=tuple(nodes.values()), online_cpus=online, allowed_cpus="" if allowed == online else allowed)


def _function(found: Object, hosts: list[Element], notes: Notes) -> Function | None:
    """A PCI function with what the OS calls it; bridges are functions too."""
    element = found.element
    address = element.get("pci_busid")
    if not is_pci_address(address):
        return None
    nodes = members(found.place.get("nodeset"))
    code, _, identifiers = element.get("pci_type").partition(" ")
    vendor, _, device = identifiers.partition("]")[0].lstrip("[").partition(":")
    return Function(
        PciDevice(
            address=parse_pci_address(address),
            path=_path(found, parse_pci_address(address), hosts, notes),
            class_code=f"0x{code[:4]}00" if code else "",
            vendor=f"0x{vendor[:4]}" if vendor else "",
            device=f"0x{device[:4]}" if device else "",
            numa_node=nodes[0] if len(nodes) == 1 else None,
            local_cpus=cpulist(found.place.get("cpuset")),
        ),
        tuple(child for child in element.all("object") if child.get("type") == "OSDev"),
    )


def _path(found: Object, address: PciAddress, hosts: list[Element], notes: Notes) -> str:
    """The bridges above it. If its parent bridge does not lead to its bus, the host bridge that does."""
    if found.behind is None or found.behind.hold(address):
        return "/".join(found.path)
    notes.add(address, f"stands in {found.path[-1]}, which does not lead to its bus")
    return next((_step(host) for host in hosts if (buses := _buses(host)) is not None and buses.hold(address)), "")
