"""Facts as the sources read them, one family of records for each source. Nothing here is a conclusion."""

from typing import Annotated, Literal

from msgspec import Meta, field

from nvtopo.model.address import PciAddress
from nvtopo.model.record import Record

# Upper bounds on what a file or another node may claim: outside of them it is not a machine.
Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Bytes = Annotated[int, Meta(ge=0, le=1 << 62)]
Name = Annotated[str, Meta(max_length=256)]


class HostFacts(Record, frozen=True, kw_only=True):
    """What the host says of itself."""

    name: Name
    """The node's name: ``NODE_NAME`` where Kubernetes sets it, else the host name."""
    architecture: Name = ""
    """``uname -m``."""
    kernel: Name = ""
    """``/proc/sys/kernel/osrelease``."""
    boot_id: Name = ""
    """``/proc/sys/kernel/random/boot_id``: another one means a reboot."""
    uptime_seconds: Count | None = None
    """``/proc/uptime``: since boot, sleep included; a container shows its host's."""
    vendor: Name = ""
    """``/sys/class/dmi/id/sys_vendor``."""
    product: Name = ""
    """``/sys/class/dmi/id/product_name``."""
    hypervisor: bool = False
    """``/proc/cpuinfo`` has the flag ``hypervisor``: PCIe paths are the hypervisor's fiction."""
    nvidia_module: Name = ""
    """Version of the loaded nvidia kernel module, ``/proc/driver/nvidia/version``."""
    nvidia_open: bool = False
    """Whether that module is the open one, which can export GPU memory as dma-buf."""
    peermem: bool = False
    """Whether nvidia-peermem (or its forerunner nv_peer_mem) is loaded."""


class NumaNode(Record, frozen=True, kw_only=True):
    """One ``/sys/devices/system/node/node<index>``; without CPUs it is memory only, as a Grace GPU's."""

    index: Count
    """The kernel's."""
    cpus: str = ""
    """``cpulist``."""
    memory_bytes: Bytes | None = None
    """``meminfo``, MemTotal."""
    hugepages: dict[str, Count] = {}
    """``hugepages/hugepages-<size>``: size such as ``1048576kB`` → pages reserved; sizes without any left out."""
    distances: tuple[Count, ...] = ()
    """``distance``: one number for each node of this list, in its order; 10 is the node itself."""


class NumaFacts(Record, frozen=True, kw_only=True):
    """Memory nodes and CPUs."""

    nodes: tuple[NumaNode, ...] = ()
    online_cpus: str = ""
    """``/sys/devices/system/cpu/online``."""
    isolated_cpus: str = ""
    """``/sys/devices/system/cpu/isolated``: taken from the scheduler by ``isolcpus``."""
    allowed_cpus: str = ""
    """``/sys/fs/cgroup/cpuset.cpus.effective``, where it is fewer than those online."""


class PcieLink(Record, frozen=True, kw_only=True):
    """A function's PCIe link. GPUs lower the generation while idle: compare the width, not the generation."""

    generation: Count | None = None
    """From ``current_link_speed``."""
    width: Count | None = None
    """``current_link_width``, lanes."""
    max_generation: Count | None = None
    """From ``max_link_speed``."""
    max_width: Count | None = None
    """``max_link_width``, lanes."""


class PciDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/bus/pci/devices/<address>``."""

    address: PciAddress
    path: str = ""
    """What it hangs from, root first, as sysfs nests it: ``pci0000:15/0000:15:01.0/0000:16:00.0``."""
    class_code: str = field(default="", name="class")
    """``class``, such as ``0x030200``."""
    vendor: str = ""
    """``vendor``, such as ``0x10de``."""
    device: str = ""
    """``device``."""
    driver: str = ""
    """What the ``driver`` link names."""
    numa_node: Count | None = None
    """``numa_node``; the kernel's -1 means unknown and is absent here."""
    local_cpus: str = ""
    """``local_cpulist``."""
    link: PcieLink | None = None
    physfn: PciAddress | None = None
    """For an SR-IOV virtual function: the function it belongs to."""
    iommu_group: Name = ""
    """What the ``iommu_group`` link names; empty where no IOMMU is at work."""
    iommu_type: Name = ""
    """``identity``, ``DMA`` or ``DMA-FQ``: ``/sys/kernel/iommu_groups/<group>/type``, of GPUs and NICs."""
    acs: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None
    """ACS control word; 0 where there is no ACS, absent where the extended configuration space can't be read."""
    adapter: Name = ""
    """VPD keyword V3 of a ConnectX whose data goes over a second function: the same on both. Not read elsewhere."""
    ats: bool | None = None
    """Whether address translation services are enabled; absent where there are none, or as ``acs``."""


class PciFacts(Record, frozen=True, kw_only=True):
    """Every PCI function of the machine."""

    devices: tuple[PciDevice, ...] = ()


class NetDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/class/net/<name>`` of the network namespace we run in."""

    name: Name
    index: Count
    """``ifindex``."""
    mtu_bytes: Bytes | None = None
    operstate: str = ""
    speed_bytes_per_second: Bytes | None = None
    """``speed``, converted; absent where the link is down or the driver does not say."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    """The PCI function it stands on; absent for virtual devices."""
    master: Name | None = None
    """The bond or bridge it belongs to."""
    kind: Name = ""
    """``DEVTYPE`` of its uevent: ``bond``, ``vlan``, ``bridge``, …; empty for a plain NIC."""


class NetFacts(Record, frozen=True, kw_only=True):
    """Network devices."""

    devices: tuple[NetDevice, ...] = ()
    default_route: Name | None = None
    """The device of the IPv4 default route with the least metric, ``/proc/net/route``."""


class GidEntry(Record, frozen=True, kw_only=True):
    """One filled row of a port's GID table."""

    index: Count
    gid: str
    """``gids/<index>``, eight groups of four digits."""
    type: Literal["IB/RoCE v1", "RoCE v2"] | None = None
    """``gid_attrs/types/<index>``."""
    netdev: Name | None = None
    """``gid_attrs/ndevs/<index>``."""


class RdmaPort(Record, frozen=True, kw_only=True):
    """One ``/sys/class/infiniband/<device>/ports/<number>``."""

    number: Count
    state: str = ""
    """``state`` without its number: ACTIVE, DOWN, …"""
    physical_state: str = ""
    """``phys_state`` without its number: LinkUp, Polling, …"""
    link_layer: str = ""
    """InfiniBand or Ethernet; empty for EFA, which is neither."""
    rate_bytes_per_second: Bytes | None = None
    """``rate``, converted. Of a port that is down it is the down-rate, not what the port could do."""
    active_mtu_bytes: Bytes | None = None
    """Only verbs know it; absent where they were not asked."""
    gids: tuple[GidEntry, ...] = ()


class RdmaDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/class/infiniband/<name>``."""

    name: Name
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    node_guid: str = ""
    firmware: str = ""
    netdevs: tuple[Name, ...] = ()
    """``device/net/*``."""
    ports: tuple[RdmaPort, ...] = ()
    management: bool = False
    """A GPU board's own function that manages its NVSwitches: no NIC for traffic (VPD ``SMDL=SW_MNG``)."""


class RdmaFacts(Record, frozen=True, kw_only=True):
    """RDMA devices."""

    devices: tuple[RdmaDevice, ...] = ()


class NvmeDevice(Record, frozen=True, kw_only=True):
    """One ``/sys/class/nvme/<name>`` that stands on PCI."""

    name: Name
    pci_address: PciAddress = field(name="pciBusID")
    model: Name = ""


class StorageFacts(Record, frozen=True, kw_only=True):
    """NVMe controllers."""

    nvmes: tuple[NvmeDevice, ...] = ()


class KubeletFacts(Record, frozen=True, kw_only=True):
    """The kubelet's resource managers, from its configuration and state files; absent where it does not say."""

    cpu_manager_policy: Name | None = None
    """``none`` or ``static``."""
    memory_manager_policy: Name | None = None
    """``None`` or ``Static``."""
    topology_manager_policy: Name | None = None
    """``none``, ``best-effort``, ``restricted`` or ``single-numa-node``."""
    topology_manager_scope: Name | None = None
    """``container`` or ``pod``."""


class NvLink(Record, frozen=True, kw_only=True):
    """One NVLink of a GPU, as NVML answers for it."""

    link: Count
    state: Literal["active", "inactive", "sleep", "traffic-disabled"] | None = None
    """Field 165; ``sleep`` is a healthy power state."""
    version: str = ""
    """Field 166, in marketing numbers: ``4.0``."""
    bytes_per_second: Bytes | None = None
    """Field 164: one direction of this link."""
    remote: Literal["gpu", "switch", "npu"] | None = None
    """nvmlDeviceGetNvLinkRemoteDeviceType."""
    remote_address: PciAddress | None = field(default=None, name="remotePciBusID")
    """nvmlDeviceGetNvLinkRemotePciInfo; absent where the driver hides it."""
    remote_link: Count | None = None
    """Field 146: the port on the other side."""


class GpuFabric(Record, frozen=True, kw_only=True):
    """nvmlDeviceGetGpuFabricInfoV, Hopper and newer."""

    state: Literal["not-supported", "not-started", "in-progress", "completed"] | None = None
    """How far the registration with the fabric is."""
    status: Count | None = None
    """An NVML return code, meaningful only once the state is ``completed``."""
    cluster_uuid: str | None = field(default=None, name="clusterUUID")
    """All zeros on one HGX board: no multi-node domain. Absent where the driver gave none."""
    clique_id: Count | None = field(default=None, name="cliqueID")
    """GPUs of one clusterUUID and one cliqueID reach each other over NVLink."""
    health_mask: Count | None = None
    """NVML's bits, as they came."""
    health_summary: Literal["healthy", "unhealthy", "limited-capacity"] | None = None
    """NVML's verdict on its own bits."""


class GpuPlatform(Record, frozen=True, kw_only=True):
    """nvmlDeviceGetPlatformInfo, Blackwell and newer: where the GPU sits in the rack."""

    chassis_serial: Name | None = None
    """Of the rack's chassis."""
    slot: Count | None = None
    """Slot in the rack, switch trays counted."""
    tray: Count | None = None
    """Compute tray, switch trays not counted."""
    host: Count | None = None
    """Node within the slot."""
    module: Count | None = None
    """Which GPU of its host."""
    fabric_guid: str | None = None
    """Its own in the NVLink fabric."""


class GpuFacts(Record, frozen=True, kw_only=True):
    """One GPU as NVML sees it."""

    index: Count
    """NVML's, not stable over reboots."""
    uuid: Name
    name: Name = ""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    minor: Count | None = None
    module_id: Count | None = None
    """Position on the board; differs from the index on every HGX machine seen."""
    memory_bytes: Bytes | None = None
    memory_numa_node: Count | None = None
    """Where its own memory is a NUMA node (Grace); not the node its PCIe function is near to."""
    vbios: Name | None = None
    mig: bool | None = None
    nvlink_count: Count | None = None
    """Field 91: how many links the driver counts."""
    nvlinks: tuple[NvLink, ...] = ()
    fabric: GpuFabric | None = None
    platform: GpuPlatform | None = None
    link: PcieLink | None = None
    c2c_links: Count | None = None
    c2c_bytes_per_second: Bytes | None = None
    """Per C2C link, one direction."""


class GpuPairFacts(Record, frozen=True, kw_only=True):
    """What the driver says of two GPUs; ``a`` < ``b`` are indices."""

    a: Count
    b: Count
    level: Literal["INTERNAL", "PIX", "PXB", "PHB", "NODE", "SYS"] | None = None
    """nvmlDeviceGetTopologyCommonAncestor."""
    nvlink_p2p: str | None = None
    """nvmlDeviceGetP2PStatus for NVLink: ``OK``, or why not."""


class NvmlFacts(Record, frozen=True, kw_only=True):
    """The NVIDIA driver's view."""

    driver_version: Name = ""
    nvml_version: Name = ""
    cuda_version: Name = ""
    gpus: tuple[GpuFacts, ...] = ()
    pairs: tuple[GpuPairFacts, ...] = ()
    lost: Count = 0
    """GPUs that the driver counts and cannot open."""
