"""PCI functions, and the NVMe controllers among them."""

from typing import Annotated

from msgspec import Meta, field

from nvtopo.model.formats import limits
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.record import DevicePath, Index, Name, Numbers, Record, Register16, ShortWord, Small


class PcieLink(Record, frozen=True, kw_only=True):
    """A function's PCIe link. GPUs lower the generation while idle: compare the width, not the generation."""

    generation: Small | None = None
    """From ``current_link_speed``."""
    width: Small | None = None
    """``current_link_width``, lanes."""
    max_generation: Small | None = None
    """From ``max_link_speed``."""
    max_width: Small | None = None
    """``max_link_width``, lanes."""


class PciDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/bus/pci/devices/<address>``."""

    address: PciAddress
    path: DevicePath = ""
    """What it hangs from, root first, as sysfs nests it: ``pci0000:15/0000:15:01.0/0000:16:00.0``."""
    class_code: ShortWord = field(default="", name="class")
    """``class``, such as ``0x030200``."""
    vendor: ShortWord = ""
    """File ``vendor``, such as ``0x10de``."""
    device: ShortWord = ""
    """File ``device``, such as ``0x2330``."""
    driver: Name = ""
    """What the ``driver`` link names."""
    numa_node: Index | None = None
    """``numa_node``; the kernel's -1 means unknown and is absent here."""
    local_cpus: Numbers = ""
    """``local_cpulist``."""
    link: PcieLink | None = None
    physfn: PciAddress | None = None
    """For an SR-IOV virtual function: the function it belongs to."""
    iommu_group: Name = ""
    """What the ``iommu_group`` link names; empty where no IOMMU is at work."""
    iommu_type: Name = ""
    """``identity``, ``DMA`` or ``DMA-FQ``: ``/sys/kernel/iommu_groups/<group>/type``, of GPUs and NICs."""
    acs: Register16 | None = None
    """ACS control word; 0 where there is no ACS, absent where the extended configuration space can't be read."""
    adapter: Name = ""
    """VPD keyword V3 of a ConnectX whose data goes over a second function: the same on both. Not read elsewhere."""
    ats: bool | None = None
    """Whether address translation services are enabled; absent where there are none, or as ``acs``."""
    relaxed_ordering: bool | None = None
    """Whether a network controller may send with relaxed ordering (device control); absent as ``acs``."""
    no_devices: bool = False
    """Whether a network function has neither a network device nor an RDMA device, here or in another network namespace:
    no driver is bound to it, or the one that is failed."""
    netdevs_elsewhere: bool = False
    """It has a ``net`` directory without an entry: its network devices are in another network namespace."""


class PciFacts(Record, frozen=True, kw_only=True):
    """Every PCI function of the machine."""

    devices: Annotated[tuple[PciDevice, ...], Meta(max_length=limits.MOST_FUNCTIONS)] = ()


class NvmeDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/class/nvme/<name>`` that stands on PCI."""

    name: Name
    pci_address: PciAddress = field(name="pciBusID")
    model: Name = ""


class StorageFacts(Record, frozen=True, kw_only=True):
    """NVMe controllers."""

    nvmes: Annotated[tuple[NvmeDevice, ...], Meta(max_length=limits.MOST_NVMES)] = ()
