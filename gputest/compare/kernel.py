"""Beside ``/sys`` (``gputest.probe_sysfs``): places, NICs, drives and NUMA nodes."""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from gputest.rows import Of, Row
from nvtopo.model.conclusions.derive import cpu_affinity
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.snapshot import Snapshot

TOOL: Final = "/sys"
_BYTES_OF_A_GIGABIT: Final = 125_000_000
#: In a virtual machine the kernel may read 0 or 255.
_LANES: Final = (1, 2, 4, 8, 12, 16, 32)

Text = Annotated[str, Meta(max_length=4096)]


class Function(Struct, frozen=True):
    """A GPU's PCI function."""

    device: Text = ""
    numa_node: int | None = field(default=None, name="numaNode")
    cpus: Text = ""
    width: int | None = None
    max_width: int | None = field(default=None, name="maxWidth")
    path: Text = ""
    virtual: bool = False


class Port(Struct, frozen=True):
    """A port of an RDMA device."""

    state: Text = ""
    link_layer: Text = field(default="", name="linkLayer")
    gigabits: Text = ""


class Rdma(Struct, frozen=True):
    """An RDMA device."""

    address: Text = ""
    virtual: bool = False
    numa_node: int | None = field(default=None, name="numaNode")
    netdevs: tuple[Text, ...] = ()
    ports: dict[str, Port] = {}


class Numa(Struct, frozen=True):
    """A NUMA node."""

    cpus: Text = ""
    memory: bool = True


class Probe(Struct, frozen=True):
    """Everything that was read."""

    gpus: dict[str, Function] = {}
    nvswitches: tuple[Text, ...] = ()
    rdma: dict[str, Rdma] = {}
    nvme: dict[str, Text] = {}
    numa: dict[str, Numa] = {}


def rows(snapshot: Snapshot, node: NodeTopology, theirs: Probe) -> Iterator[Row]:
    """Each thing of ``/sys`` that nvtopo should have."""
    yield from _gpus(node, theirs)
    management = {device.name for device in (snapshot.rdma.devices if snapshot.rdma else ()) if device.management}
    nics = {nic.name: nic for nic in node.nics}
    for name, device in theirs.rdma.items():
        yield from _rdma(nics.get(name), name, device, management=name in management)
    nvmes = {nvme.name: nvme.pci_address for nvme in node.nvmes}
    for name, address in theirs.nvme.items():
        yield Of(TOOL, name).row("PCI address", nvmes.get(name), address)
    cpus = {str(numa.index): numa.cpus for numa in node.numa}
    for index, numa_node in theirs.numa.items():
        of = Of(TOOL, f"NUMA node {index}")
        if numa_node.cpus:
            yield of.row("CPUs", cpus.get(index), numa_node.cpus)
        else:
            empty = "" if numa_node.memory else "a node without CPUs and memory is left out"
            yield of.row("there", index in cpus, other=True, explained=empty)
    yield Of(TOOL, "node").row("NVSwitches", sorted(node.nvswitches), sorted(theirs.nvswitches))


def _gpus(node: NodeTopology, theirs: Probe) -> Iterator[Row]:
    known = {gpu.pci_address: gpu for gpu in node.gpus}
    others = {accelerator.pci_address for accelerator in node.accelerators}
    for address, function in theirs.gpus.items():
        of = Of(TOOL, address)
        gpu = next((one for key, one in known.items() if key == address), None)
        if gpu is not None:
            yield from _gpu(node, gpu, function)
        elif function.virtual:
            yield of.not_compared("GPU", "a virtual function of a GPU is no GPU of its own")
        else:
            listed = any(other == address for other in others)
            yield of.row("on the bus", listed or None, other=True)
    if known and not theirs.gpus:
        yield Of(TOOL, "node").not_compared("GPUs", "this /sys shows no NVIDIA function (WSL, a sandbox)", len(known))
        return
    for key, gpu in known.items():
        if key is not None and key not in theirs.gpus:
            yield Of(TOOL, gpu.key).differ("on the bus", key, None, "the driver has a GPU that is not on the PCI bus")


def _gpu(node: NodeTopology, gpu: Gpu, function: Function) -> Iterator[Row]:
    of = Of(TOOL, gpu.key)
    yield of.row("NUMA node", gpu.numa_node, function.numa_node)
    if function.numa_node is not None:
        yield of.row("CPU affinity", cpu_affinity(node, gpu), function.cpus)
    yield of.row("path", gpu.path, function.path)
    width = gpu.link.max_width if gpu.link else None
    lanes = function.max_width if function.max_width in _LANES else None
    lesser = (
        "NVML counts what GPU and slot both support"
        if width and function.max_width and width < function.max_width
        else ""
    )
    yield of.row("PCIe width, most", width, lanes, lesser)


def _rdma(nic: Nic | None, name: str, device: Rdma, *, management: bool) -> Iterator[Row]:
    of = Of(TOOL, name)
    if nic is None:
        why = "it manages the NVSwitches, and nvtopo counts it as no NIC" if management else ""
        yield of.row("NIC", None, name, "a virtual function counts as its parent" if device.virtual else why)
        return
    yield of.row("PCI address", nic.pci_address, device.address)
    beside = "nvtopo has that of the data direct function" if nic.data_direct else ""
    yield of.row("NUMA node", nic.numa_node, device.numa_node, beside)
    yield of.row("netdevs", sorted(nic.netdevs), sorted(device.netdevs))
    ports = {str(port.number): port for port in nic.ports}
    for number, port in device.ports.items():
        mine = ports.get(number)
        yield of.row(f"port {number} state", mine.state if mine else None, port.state)
        yield of.row(
            f"port {number} link layer", mine.link_layer if mine else None, port.link_layer.replace("Unknown", "")
        )
        rate = _rate(port.gigabits)
        down = "a port that is not up has no rate" if port.state != "ACTIVE" else ""
        yield of.row(f"port {number} rate", mine.rate_bytes_per_second if mine else None, rate, down)


def _rate(gigabits: str) -> int | None:
    try:
        return round(float(gigabits) * _BYTES_OF_A_GIGABIT) or None
    except (ValueError, OverflowError):
        return None
