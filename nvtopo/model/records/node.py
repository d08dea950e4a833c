"""``NodeTopology``: the facts of one node, joined and ordered. The central value of nvtopo.

It holds what was read and no conclusions: locality, groups and nearest NICs are functions of it (``derive``), so no
conclusion can contradict a fact. The resource and documents store it as a ``Spec`` (``nvtopo.model.records.spec``).
"""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from nvtopo.model.formats import limits
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.expected import Expected
from nvtopo.model.records.facts import GpuFabric, GpuPlatform, KubeletFacts, MemoryRepairs, Neighbor, NumaNode, PcieLink
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.places import PciRoot, StatedLevel, Unseen
from nvtopo.model.records.record import (
    Bytes,
    Count,
    DevicePath,
    Index,
    Name,
    Numbers,
    Problem,
    Record,
    ShortWord,
    Small,
)
from nvtopo.model.records.snapshot import Attributes


class Host(Record, frozen=True, kw_only=True):
    """The host and its driver."""

    architecture: Name = ""
    """``uname -m``: ``x86_64``, ``aarch64``."""
    kernel: Name = ""
    """The running kernel's release."""
    vendor: Name = ""
    """The system's vendor, from its firmware."""
    product: Name = ""
    """The system's product name, from its firmware."""
    hypervisor: bool = False
    """Whether it is a virtual machine, so that the hypervisor invents the PCIe paths."""
    driver_version: Name | None = None
    """Version of the NVIDIA driver, from NVML; absent if there is none or it does not answer."""
    cuda_version: Name | None = None
    """The newest CUDA that the driver supports."""
    nvidia_open: bool = False
    """Whether the open kernel module is loaded, which can export GPU memory as dma-buf."""
    peermem: bool = False
    """Whether nvidia-peermem is loaded."""
    iommu: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_DOMAIN_TYPES)] = ()
    """IOMMU domain types of the GPUs and NICs: ``identity``, ``DMA``, ``DMA-FQ``; empty if no IOMMU is in use."""
    isolated_cpus: Numbers = ""
    """CPUs taken from the scheduler (``isolcpus``), in the kernel's list format."""
    allowed_cpus: Numbers = ""
    """CPUs that this process may use, if they are fewer than those online."""


class Gpu(Record, frozen=True, kw_only=True):
    """One GPU."""

    index: Index
    """NVML's index, as in nvidia-smi; a reboot may change it."""
    uuid: Name
    """NVML's UUID with the prefix ``GPU-``; a reboot does not change it."""
    name: Name = ""
    """Product name, from NVML."""
    vbios: Name | None = None
    """Version of its VBIOS; absent if the driver does not state it."""
    compute_capability: Name | None = None
    """CUDA's compute capability: ``9.0``; absent if the driver does not state it."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    """Its PCIe function."""
    path: DevicePath = ""
    """The bridges above it, root first: ``pci0000:15/0000:15:01.0/0000:16:00.0``."""
    numa_node: Index | None = None
    """The NUMA node of its PCIe function; absent if the firmware does not state it."""
    numa_nodes: Numbers = ""
    """The NUMA nodes near it in the kernel's list format, if another tool states several: ``0,3-9`` (Grace)."""
    local_cpus: Numbers = ""
    """CPUs near its PCIe function, if they are not those of its NUMA node."""
    module_id: Small | None = None
    """Its position on the board, from NVML; not its index."""
    memory_bytes: Bytes | None = None
    """Size of the framebuffer memory, in bytes."""
    memory_numa_node: Index | None = None
    """The NUMA node that its memory forms (Grace); absent if it forms none."""
    mig: bool | None = None
    """Whether MIG mode is on; absent if the GPU does not support it."""
    link: PcieLink | None = None
    """Its PCIe link, without the current generation, which changes with the load."""
    acs_redirect: bool | None = None
    """Whether a bridge above it redirects peer traffic to the root (ACS); absent if that can't be read."""
    nvlink_count: Small | None = None
    """How many NVLinks the driver counts, used or not."""
    nvlinks_unknown: bool = False
    """Whether the driver could not tell whether it has NVLinks."""
    nvlinks_before: Small | None = None
    """How many NVLinks of a PCIe card the agent has seen usable at once since it started, if that is more than now."""
    nvlinks: Annotated[tuple[NvLinkBundle, ...], Meta(max_length=limits.MOST_BUNDLES)] = ()
    """Its NVLinks, with equal links folded into one bundle."""
    nvlink_training: bool = False
    """Whether links or fabric are not up yet, soon enough after boot that they may still be training."""
    fabric_overdue: bool = False
    """Whether its fabric has been in progress in one stretch for longer than the grace; known to the agent alone."""
    recovery_action: Name | None = None
    """What NVML says it takes to recover the GPU (field 230), such as ``gpu-reset``; absent if nothing."""
    memory_repair: MemoryRepairs = ()
    """What of its memory is not repaired yet (fields 31, 144, 145); a pending repair takes a reset of the GPU."""
    fabric: GpuFabric | None = None
    """Its state in the NVLink fabric; absent if it has no fabric."""
    platform: GpuPlatform | None = None
    """Its place in the rack; absent if the platform does not report it."""
    c2c_links: Small | None = None
    """Number of NVLink-C2C links to its CPU."""
    c2c_bytes_per_second: Bytes | None = None
    """Bytes per second of one C2C link in one direction."""

    @property
    def key(self) -> str:
        """``GPU0``, as nvidia-smi heads its columns."""
        return f"GPU{self.index}"


class GpuPair(Record, frozen=True, kw_only=True):
    """Facts of two GPUs (``a`` < ``b``, indices) that the facts of each alone do not give."""

    a: Index
    """Index of the first GPU."""
    b: Index
    """Index of the second GPU, which is larger."""
    level: ShortWord | None = None
    """Common PCIe ancestor as the driver or another tool states it, if it differs from what the two paths give."""
    nvlinks: Small | None = None
    """Number of usable NVLinks between them, if another tool states only that (``NV18``)."""
    nvlink_short: Index | None = None
    """Index of the GPU that states fewer NVLinks than the other one does: one-sided links carry no traffic."""
    nvlink_p2p: ShortWord | None = None
    """Why NVLink peer access does not work although there are links, or may be; ``U``: not told; absent if it works."""


class NicPort(Record, frozen=True, kw_only=True):
    """One RDMA port."""

    number: Small
    """Counted from 1."""
    state: ShortWord = ""
    """The kernel's name of the state: ``ACTIVE``, ``DOWN``, ``INIT``, ``ARMED``."""
    link_layer: ShortWord = ""
    """``InfiniBand`` or ``Ethernet``; empty for EFA."""
    rate_bytes_per_second: Bytes | None = None
    """Bytes per second in one direction."""
    active_mtu_bytes: Bytes | None = None
    """The MTU that RDMA uses, from verbs; absent if verbs were not asked."""
    gid_index: Count | None = None
    """Index of the GID that NCCL chooses by default; absent if no GID is routable."""
    ucx_gid_index: Count | None = None
    """Index of the GID that UCX chooses by default, if it is another one."""


class Nic(Record, frozen=True, kw_only=True):
    """One NIC: a PCI function with a netdev, an RDMA device, or both."""

    name: Name
    """The RDMA device's name, else the netdev's."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    """Its PCIe function; absent if it is not a PCI device."""
    path: DevicePath = ""
    """The bridges above it, root first; those above its data direct function if it has one."""
    model: Name | None = None
    """PCI vendor and device: ``15b3:1021``; absent if the input does not show PCI."""
    hidden_by: Name = ""
    """Why it has no device to see, so its values are unknown: ``netns``, ``vfio-pci``, ``no-driver``, ``no-device``."""
    data_direct: PciAddress | None = field(default=None, name="dataDirectPciBusID")
    """The second function, through which a ConnectX-8 reads GPU memory; distances are measured from it."""
    numa_node: Index | None = None
    """The NUMA node of that function; absent if the firmware does not state it."""
    netdevs: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_NETDEVS)] = ()
    """Its network devices, by name."""
    mtu_bytes: Bytes | None = None
    """MTU of its network device, in bytes."""
    speed_bytes_per_second: Bytes | None = None
    """Speed of its network device in bytes per second, if no RDMA port has a rate."""
    operstate: ShortWord = ""
    """Operational state of its network device: ``up``, ``down`` and others."""
    virtual_functions: Count = 0
    """Number of enabled SR-IOV virtual functions."""
    representors: Count = 0
    """Number of its network devices that stand for a function elsewhere; they are not among ``netdevs``."""
    eswitch_mode: Name = ""
    """``switchdev`` or ``legacy``, of its embedded switch; absent if that can't be read."""
    dpu_mode: Name = ""
    """``dpu`` on a BlueField's own CPU, if it has its host's functions (``pf0hpf``); absent elsewhere."""
    default_route: bool = False
    """Whether a default route of the host uses this NIC, directly or through a bond, bridge, VLAN or Open vSwitch."""
    link: PcieLink | None = None
    """Only if narrower or slower than both ends support, or than is expected; the maxima are those of both ends."""
    acs_redirect: bool | None = None
    """Whether a bridge above it redirects peer traffic to the root (ACS); absent if that can't be read."""
    ports: Annotated[tuple[NicPort, ...], Meta(max_length=limits.MOST_PORTS)] = ()
    """Its RDMA ports; empty for a NIC without RDMA."""
    firmware: Name = ""
    """Version of the firmware of its RDMA device."""
    psid: Name = ""
    """Which board it is and which firmware is made for it (PSID, the RDMA device's ``board_id``)."""
    guid: Name = ""
    """The node GUID of an InfiniBand adapter, 16 digits, by which the fabric knows it; empty for others."""


class Nvme(Record, frozen=True, kw_only=True):
    """One NVMe controller."""

    name: Name
    """The kernel's name: ``nvme0``."""
    pci_address: PciAddress = field(name="pciBusID")
    """Its PCIe function."""
    path: DevicePath = ""
    """The bridges above it, root first."""
    numa_node: Index | None = None
    """The NUMA node of that function; absent if the firmware does not state it."""


class Accelerator(Record, frozen=True, kw_only=True):
    """A GPU or another accelerator on the PCI bus for which NVML does not answer."""

    pci_address: PciAddress = field(name="pciBusID")
    """Its PCI function."""
    model: Name = ""
    """PCI vendor and device: ``10de:2330``."""
    driver: Name = ""
    """The kernel driver bound to it: ``nvidia``, ``vfio-pci``, ``amdgpu``; empty where none is."""
    display: bool = False
    """Whether it is a display card without the NVIDIA driver, of a model that no GPU that answers has."""
    path: DevicePath = ""
    """What it hangs from, root first."""
    numa_node: Index | None = None
    """The NUMA node of its PCIe function; absent where the firmware does not say."""

    @property
    def name(self) -> str:
        """Its PCI address: it has no other name."""
        return self.pci_address


class NodeFacts(Record, frozen=True, kw_only=True):
    """The facts of a node. Every sequence has a fixed order, so equal nodes give equal bytes."""

    host: Host = Host()
    """The host and its driver."""
    numa: Annotated[tuple[NumaNode, ...], Meta(max_length=limits.MOST_NUMA_NODES)] = ()
    """NUMA nodes, by index."""
    pci: Annotated[tuple[PciRoot, ...], Meta(max_length=limits.MOST_ROOTS)] = ()
    """PCI root buses."""
    gpus: Annotated[tuple[Gpu, ...], Meta(max_length=limits.MOST_GPUS)] = ()
    """GPUs, by index."""
    pairs: Annotated[tuple[GpuPair, ...], Meta(max_length=limits.MOST_PAIRS)] = ()
    """Facts of pairs of GPUs that the facts of each GPU alone do not give."""
    accelerators: Annotated[tuple[Accelerator, ...], Meta(max_length=limits.MOST_ACCELERATORS)] = ()
    """Accelerators on the PCI bus that NVML does not answer for, by PCI address."""
    expected: Expected | None = None
    """What it should have, if an agent watches it."""
    nvswitches: Annotated[tuple[PciAddress, ...], Meta(max_length=limits.MOST_NVSWITCHES)] = ()
    """PCI addresses of the NVSwitches on its bus."""
    nics: Annotated[tuple[Nic, ...], Meta(max_length=limits.MOST_NICS)] = ()
    """NICs, by PCI address."""
    neighbors: Annotated[tuple[Neighbor, ...], Meta(max_length=limits.MOST_NEIGHBORS)] = ()
    """Who its ports hear by LLDP, by port; empty if the agent does not listen."""
    nvmes: Annotated[tuple[Nvme, ...], Meta(max_length=limits.MOST_NVMES)] = ()
    """NVMe controllers, by PCI address."""
    kubelet: KubeletFacts | None = None
    """The kubelet's resource managers."""
    attributes: Annotated[dict[Name, Attributes], Meta(max_length=limits.MOST_ATTRIBUTES)] = {}
    """Source → names and values that no conclusion uses."""
    stated: Annotated[tuple[StatedLevel, ...], Meta(max_length=limits.MOST_STATED)] = ()
    """Levels between devices whose paths are not known, other than between two GPUs."""
    nvlink_hidden: bool = False
    """Whether the input can't show NVLink (``nvidia-smi topo -mp``, lspci), so that groups are unknown."""
    unseen: Annotated[tuple[Unseen, ...], Meta(max_length=4)] = ()
    """What another tool's output does not show, or shows in part; nothing follows from the absence of that."""
    problems: Annotated[tuple[Problem, ...], Meta(max_length=limits.MOST_PROBLEMS)] = ()
    """Everything that should have been readable and was not."""


class NodeTopology(NodeFacts, frozen=True, kw_only=True):
    """The facts of one node, with every GPU and NIC."""


def encode(node: NodeTopology) -> bytes:
    """The node as JSON, the same bytes for equal nodes."""
    return msgspec.json.encode(node, order="deterministic")


def digest(node: NodeTopology) -> str:
    """A short hash of these facts; with an equal digest nothing has to be written."""
    import hashlib  # pulls in OpenSSL, which a one-shot dump has no use for

    return hashlib.blake2b(encode(node), digest_size=8).hexdigest()
