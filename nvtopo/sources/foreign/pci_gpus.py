"""GPUs, NICs and NVMe controllers that are known by their PCI function alone, where no driver was asked."""

from collections.abc import Callable

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble, is_gpu
from nvtopo.model.records.facts import GpuFacts, NvmlFacts, PciDevice
from nvtopo.model.records.node import Nic, NodeTopology, Nvme
from nvtopo.model.records.places import Unseen
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign.given import MOST_DEVICES, Notes

_NIC_CLASSES = ("0x0200", "0x0207")
_NVME_CLASS = "0x0108"


def node(snapshot: Snapshot, notes: Notes, name: Callable[[PciDevice], str] = lambda _device: "") -> NodeTopology:
    """The node of these facts. GPUs are numbered in the order of their addresses, as the driver does."""
    devices = snapshot.pci.devices if snapshot.pci else ()
    functions = sorted((device for device in devices if is_gpu(device)), key=lambda device: device.address)
    gpus = tuple(
        GpuFacts(index=index, uuid="", name=name(device), pci_address=device.address)
        for index, device in enumerate(functions[:MOST_DEVICES])
    )
    if not gpus:
        notes.add("GPUs", "no NVIDIA GPU is to be seen")
    elif len(gpus) > 1:
        notes.add("NVLink", "PCI functions alone do not show it")
    facts = replace(snapshot, nvml=NvmlFacts(gpus=gpus), problems=(*snapshot.problems, *notes.problems))
    unseen: tuple[Unseen, ...] = ("nics",) if snapshot.pci is None else ()
    return replace(assemble(facts), nvlink_hidden=len(gpus) > 1 or snapshot.pci is None, unseen=unseen)


def nics(devices: tuple[PciDevice, ...]) -> tuple[Nic, ...]:
    """Network functions by their address, where nothing says their names."""
    found = [device for device in devices if device.class_code.startswith(_NIC_CLASSES)]
    return tuple(
        Nic(name=device.address, pci_address=device.address, path=device.path, numa_node=device.numa_node)
        for device in sorted(found, key=lambda device: device.address)[:MOST_DEVICES]
    )


def nvmes(devices: tuple[PciDevice, ...]) -> tuple[Nvme, ...]:
    """NVMe controllers by their address, where nothing says their names."""
    found = [device for device in devices if device.class_code.startswith(_NVME_CLASS)]
    return tuple(
        Nvme(name=device.address, pci_address=device.address, path=device.path, numa_node=device.numa_node)
        for device in sorted(found, key=lambda device: device.address)[:MOST_DEVICES]
    )
