"""NCCL's topology XML (``NCCL_TOPO_FILE``), by the rules of its own ``ncclTopoGetXmlFromSys``.

Switches are named by their upstream ports; root ports are not switches. Attributes that NCCL reads itself from the
machine if they are not set are left out, not guessed: compute capability, rank, system image GUID (sysfs shows another,
the node GUID). Like NCCL's own file, it lists all links that are up, whatever the state of their fabric.
"""

from collections.abc import Iterable
from typing import Final

from nvtopo.errors import UsageError
from nvtopo.model.conclusions.derive import gpudirect
from nvtopo.model.conclusions.distance import full_path
from nvtopo.model.conclusions.hierarchy import Branch, NumaBranch, hierarchy
from nvtopo.model.conclusions.links import XGMI
from nvtopo.model.conclusions.locality import nccl_switches
from nvtopo.model.conclusions.order import nics_in_order
from nvtopo.model.conclusions.pcie import Functions, own_link_at
from nvtopo.model.formats import cpulist
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Gpu, Nic, NicPort, NodeTopology
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.sinks.document.xml import Element, text_of

#: NCCL's own limits (``xml.h``): a longer value is cut, a larger file refused.
LONGEST_VALUE_BYTES: Final = 255
MOST_ELEMENTS: Final = 256

_ARCHITECTURES: Final = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64", "ppc64le": "ppc64", "ppc64": "ppc64"}
_SPEEDS: Final = {1: "2.5", 2: "5.0", 3: "8.0", 4: "16.0", 5: "32.0", 6: "64.0"}
_SWITCH_CLASS: Final = "0x060400"
_NVSWITCH_CLASS: Final = "0x068000"
_REMOTE_CLASSES: Final = {"gpu": "0x030200", "switch": _NVSWITCH_CLASS, "npu": "0x068001"}
#: Seven f: NCCL's address of an NVSwitch that the driver hides.
_HIDDEN: Final = "fffffff:ff:ff.0"
_MEGABIT: Final = 1_000_000 // 8
_MEGABYTE: Final = 1_000_000
_DEVICES_ON_A_BUS: Final = 32


def render(node: NodeTopology, functions: Functions) -> str:
    """The file.

    Raises:
        UsageError: a GPU's address is not known, or NCCL could not read a file of that size.
    """
    lost = next((gpu.key for gpu in node.gpus if gpu.pci_address is None), None)
    if lost is not None:
        raise UsageError(f"{lost}: NCCL finds a GPU by its PCI address, and this input does not have it")
    if any(bundle.version == XGMI for gpu in node.gpus for bundle in gpu.nvlinks):
        raise UsageError("xGMI links: these are AMD GPUs, and NCCL knows NVIDIA's alone")
    for fold_switches in (False, True):
        system = _System(node, functions, fold_switches=fold_switches).element()
        if system.size <= MOST_ELEMENTS:
            return text_of(system)
    raise UsageError(f"{system.size} elements: NCCL reads {MOST_ELEMENTS} at most")


class _System:
    """Builds one file."""

    def __init__(self, node: NodeTopology, functions: Functions, *, fold_switches: bool) -> None:
        self._node = node
        self._functions = functions
        self._fold_switches = fold_switches
        self._nets = {name: number for number, name in enumerate(_net_names(node))}
        self._nameless_switches = 0
        self._gdr = {None: "", "none": "0"}.get(gpudirect(node), "1")

    def element(self) -> Element:
        parts = (part for part in hierarchy(self._node, self._functions) if part.all_devices or part.number is not None)
        cpus = [self._cpu(part) for part in parts]
        return Element("system", {"version": "1"}, [cpu for cpu in cpus if cpu.children])

    def _cpu(self, part: NumaBranch) -> Element:
        attributes = {"numaid": str(-1 if part.number is None else part.number)}
        mask = _mask(part.memory.cpus) if part.memory else ""
        if mask and len(mask) <= LONGEST_VALUE_BYTES:
            attributes["affinity"] = mask
        if self._node.host.architecture in _ARCHITECTURES:
            attributes["arch"] = _ARCHITECTURES[self._node.host.architecture]
        cpu = Element("cpu", attributes, [])
        for bridge in part.bridges:
            if bridge.name:
                self._by_paths(cpu, bridge)
            else:
                self._by_levels(cpu, bridge)
        return cpu

    def _by_paths(self, cpu: Element, bridge: Branch) -> None:
        """Put each device below its switches, as NCCL finds them on the way up."""
        switches: dict[str, Element] = {}
        for device, function in self._endpoints(bridge):
            above, parent = device.path.split("/")[1:], cpu
            for address in reversed(nccl_switches(full_path(device))):
                if address not in switches:
                    switches[address] = self._pci(address, _SWITCH_CLASS, own_link_at(address, self._functions), above)
                    parent.children.append(switches[address])
                parent = switches[address]
            _attach(parent, function)

    def _by_levels(self, parent: Element, branch: Branch) -> None:
        """Give switches without an address one that no machine has, as Azure's files do."""
        for _, function in self._endpoints(Branch("", None, (), branch.devices)):
            _attach(parent, function)
        for below in branch.branches:
            device, bus = self._nameless_switches % _DEVICES_ON_A_BUS, self._nameless_switches // _DEVICES_ON_A_BUS
            self._nameless_switches += 1
            switch = self._pci(f"ffff:{0xFF - bus:02x}:{device:02x}.0", _SWITCH_CLASS, None, [])
            self._by_levels(switch, below)
            if switch.children:
                parent.children.append(switch)

    def _endpoints(self, branch: Branch) -> Iterable[tuple[Gpu | Nic, Element]]:
        for device in branch.all_devices:
            if isinstance(device, Gpu) and device.pci_address:
                yield device, self._gpu(device, device.pci_address)
            elif isinstance(device, Nic) and device.pci_address and _active(device):
                yield device, self._nic(device, device.pci_address)

    def _pci(self, address: str, class_code: str, link: PcieLink | None, above: list[str]) -> Element:
        function = self._functions.get(PciAddress(address))
        attributes = {"busid": address, "class": (function.class_code if function else "") or class_code}
        if function and function.vendor and function.device:
            attributes |= {"vendor": function.vendor, "device": function.device}
        speed = _slower(link, own_link_at(above[-1], self._functions) if above else None)
        if speed is not None and link is not None and (link.width or link.max_width):
            attributes |= {"link_speed": f"{speed} GT/s PCIe", "link_width": str(link.width or link.max_width)}
        return Element("pci", attributes, [])

    def _gpu(self, gpu: Gpu, address: str) -> Element:
        element = self._pci(address, "0x030200", gpu.link or own_link_at(address, self._functions), [])
        links: dict[tuple[str, str], int] = {}
        for target, class_code, count in (end for bundle in gpu.nvlinks for end in _ends(bundle)):
            known = _HIDDEN if self._fold_switches and class_code == _NVSWITCH_CLASS else target
            links[known, class_code] = links.get((known, class_code), 0) + count
        children = [
            Element("nvlink", {"target": target, "count": str(count), "tclass": class_code}, [])
            for (target, class_code), count in links.items()
        ]
        if gpu.c2c_links and gpu.c2c_bytes_per_second:
            rate = str(gpu.c2c_bytes_per_second // _MEGABYTE)
            children.append(Element("c2c", {"bw": rate, "count": str(gpu.c2c_links)}, []))
        element.children.append(Element("gpu", {"dev": str(gpu.index)}, children))
        return element

    def _nic(self, nic: Nic, address: str) -> Element:
        """Functions of one card are one NIC to NCCL: function 0, with a net for each of them."""
        element = self._pci(
            address[:-1] + "0",
            "0x020000",
            own_link_at(nic.pci_address or "", self._functions) or nic.link,
            nic.path.split("/")[1:],
        )
        nets = [self._net(nic, port) for port in _active(nic)]
        element.children.append(Element("nic", {}, nets))
        return element

    def _net(self, nic: Nic, port: NicPort) -> Element:
        attributes = {"name": cut(nic.name), "dev": str(self._nets[nic.name, port.number])}
        if port.rate_bytes_per_second:
            attributes["speed"] = str(port.rate_bytes_per_second // _MEGABIT)
        attributes["port"] = str(port.number)
        return Element("net", attributes | ({"gdr": self._gdr} if self._gdr else {}), [])


def cut(text: str) -> str:
    """``text`` within the bytes that NCCL keeps of a value."""
    while len(text_of(Element("x", {"v": text}, [])).encode()) - len('<x v=""/>\n') > LONGEST_VALUE_BYTES:
        text = text[:-1]
    return text


def _attach(parent: Element, function: Element) -> None:
    """Add ``function`` below ``parent``, or merge it into its card if that is already there."""
    busid = function.attributes["busid"]
    card = next((child for child in parent.children if child.attributes.get("busid") == busid), None)
    if card is None:
        parent.children.append(function)
    else:
        card.children[0].children.extend(function.children[0].children)


def _net_names(node: NodeTopology) -> list[tuple[str, int]]:
    return [(nic.name, port.number) for nic in nics_in_order(node) for port in _active(nic)]


def _active(nic: Nic) -> list[NicPort]:
    """The ports that NCCL would use; another tool's output may not say which are up."""
    return [port for port in nic.ports if port.state in ("ACTIVE", "")]


def _ends(bundle: NvLinkBundle) -> Iterable[tuple[str, str, int]]:
    """Where usable links end: (address, PCI class, links). Links with an unknown end are left out."""
    class_code = _REMOTE_CLASSES.get(bundle.remote or "")
    if not bundle.usable or class_code is None:
        return
    rest = bundle.count
    for address, links in bundle.peers.items():
        count = cpulist.count(links)
        rest -= count
        yield address, class_code, count
    if rest > 0 and bundle.remote == "switch":
        yield _HIDDEN, class_code, rest


def _slower(link: PcieLink | None, port: PcieLink | None) -> str | None:
    """The speed that both a function and the port above it can do, in GT/s."""
    ends = [(end.max_generation or end.generation) for end in (link, port) if end is not None]
    known = [generation for generation in ends if generation in _SPEEDS]
    return _SPEEDS[min(known)] if link is not None and known else None


def _mask(cpus: str) -> str:
    """A CPU list as the kernel's ``cpumap``: 32 bits a group, the highest first."""
    bits = sum(((1 << (last + 1 - first)) - 1) << first for first, last in cpulist.ranges(cpus))
    words = [f"{bits >> shift & 0xFFFFFFFF:08x}" for shift in range(0, bits.bit_length(), 32)]
    return ",".join(reversed(words))
