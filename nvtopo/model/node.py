"""``NodeTopology``: the noun in the middle. Facts of one node, joined and ordered.

It holds what was read and no conclusion: locality, groups, nearest NICs are functions of it (``derive``), so there is
nothing to keep consistent. In the resource and on paper it is a ``Spec`` (``nvtopo.model.spec``).
"""

from typing import Literal

import msgspec
from msgspec import field

from nvtopo.model.address import PciAddress
from nvtopo.model.cpulist import parse_cpulist
from nvtopo.model.facts import (
    Bytes,
    Count,
    GpuFabric,
    GpuPlatform,
    KubeletFacts,
    Name,
    NumaNode,
    PcieLink,
)
from nvtopo.model.record import Problem, Record
from nvtopo.model.snapshot import Attributes


class Host(Record, frozen=True, kw_only=True):
    """The host and its driver, as far as they explain what its GPUs do."""

    architecture: Name = ""
    """``uname -m``: ``x86_64``, ``aarch64``."""
    kernel: Name = ""
    """The running kernel's release."""
    vendor: Name = ""
    """Who made the system, as its firmware says."""
    product: Name = ""
    """The system's product name, as its firmware says."""
    hypervisor: bool = False
    """It is a virtual machine: PCIe paths are what the hypervisor shows."""
    driver_version: Name | None = None
    """NVIDIA driver, as NVML says; absent where there is none or it does not answer."""
    cuda_version: Name | None = None
    """The newest CUDA that the driver supports."""
    nvidia_open: bool = False
    """The open kernel module is loaded: GPU memory can be exported as dma-buf."""
    peermem: bool = False
    """nvidia-peermem is loaded."""
    iommu: tuple[Name, ...] = ()
    """IOMMU domain types of the GPUs and NICs: ``identity``, ``DMA``, ``DMA-FQ``; empty where no IOMMU is at work."""
    isolated_cpus: str = ""
    """CPUs taken from the scheduler (``isolcpus``), in the kernel's list format."""
    allowed_cpus: str = ""
    """CPUs that this process may use, where they are fewer than those online."""


class NvLinkBundle(Record, frozen=True, kw_only=True):
    """NVLinks of one GPU that are alike in everything said here; a link unlike its siblings stands alone."""

    links: str
    """Link numbers in the kernel's list format: ``0-4``."""
    state: str | None = None
    """``active``, ``inactive``, ``sleep``, ``traffic-disabled``; absent where the driver did not answer."""
    version: str = ""
    """NVLink version in NVIDIA's words, such as ``4.0``."""
    bytes_per_second: Bytes | None = None
    """One link, one direction, as the driver reports it."""
    remote: str | None = None
    """``gpu``, ``switch`` or ``npu``."""
    peers: dict[PciAddress, str] = {}
    """PCI address of the other side → the links that end there; without the links whose other side is hidden."""

    @property
    def count(self) -> int:
        """How many links are folded here."""
        return len(parse_cpulist(self.links))

    @property
    def usable(self) -> bool:
        """Whether traffic can use these links; a link asleep wakes up for it."""
        return self.state in ("active", "sleep")


class Gpu(Record, frozen=True, kw_only=True):
    """One GPU."""

    index: Count
    """NVML's index, by which nvidia-smi calls it; a reboot may change it."""
    uuid: Name
    """NVML's: ``GPU-`` and a UUID, which a reboot does not change."""
    name: Name = ""
    """Product name, as NVML says."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    """Its PCIe function."""
    path: str = ""
    """What it hangs from, root first: ``pci0000:15/0000:15:01.0/0000:16:00.0``."""
    numa_node: Count | None = None
    """The NUMA node of its PCIe function; absent where the firmware does not say."""
    numa_nodes: str = ""
    """The NUMA nodes near it in the kernel's list format, where another tool states several: a virtual machine whose
    GPU hangs on no node (``0-1``), or a Grace GPU with its own memory nodes (``0,3-9``)."""
    local_cpus: str = ""
    """CPUs near its PCIe function, where they are not those of its NUMA node."""
    module_id: Count | None = None
    """Its position on the board, as NVML says; not its index."""
    memory_bytes: Bytes | None = None
    """Framebuffer memory."""
    memory_numa_node: Count | None = None
    """The NUMA node that its memory is (Grace); absent where it is none."""
    mig: bool | None = None
    """Whether MIG mode is on; absent where the GPU has none."""
    link: PcieLink | None = None
    """Without the current generation, which changes with the load."""
    acs_redirect: bool | None = None
    """Whether a bridge above it sends peer traffic up to the root; absent where that can't be read."""
    nvlink_count: Count | None = None
    """How many NVLinks the driver counts, used or not."""
    nvlinks: tuple[NvLinkBundle, ...] = ()
    """Its NVLinks, those that are alike folded into one."""
    nvlink_training: bool = False
    """Not all links are up, or the fabric is not, and the boot is so recent that they may still be coming."""
    fabric: GpuFabric | None = None
    """How it stands in its NVLink fabric; absent where it has none."""
    platform: GpuPlatform | None = None
    """Where it sits in the rack; absent where the platform does not say."""
    c2c_links: Count | None = None
    """NVLink-C2C links to its CPU."""
    c2c_bytes_per_second: Bytes | None = None
    """One C2C link, one direction."""

    @property
    def key(self) -> str:
        """``GPU0``, as nvidia-smi heads its columns."""
        return f"GPU{self.index}"


class GpuPair(Record, frozen=True, kw_only=True):
    """What the driver says of two GPUs (``a`` < ``b``, indices) and the facts of each alone do not."""

    a: Count
    """Index of the one GPU."""
    b: Count
    """Index of the other, which is larger."""
    level: str | None = None
    """Common PCIe ancestor as the driver or another tool states it, where it is not what the two paths say."""
    nvlinks: Count | None = None
    """Usable NVLinks between them, where another tool states only their number (``NV18``)."""
    nvlink_short: Count | None = None
    """The one of the two whose own side states fewer NVLinks than the other's: one-sided links carry nothing."""
    nvlink_p2p: str | None = None
    """Why NVLink peer access does not work although there are links; absent where it does."""


class NicPort(Record, frozen=True, kw_only=True):
    """One RDMA port."""

    number: Count
    """Counted from 1."""
    state: str = ""
    """``ACTIVE``, ``DOWN``, ``INIT``, ``ARMED``, as the kernel says."""
    link_layer: str = ""
    """``InfiniBand`` or ``Ethernet``; empty for EFA."""
    rate_bytes_per_second: Bytes | None = None
    """One direction."""
    active_mtu_bytes: Bytes | None = None
    """The MTU that RDMA uses, which verbs know; absent where they were not asked."""
    gid_index: Count | None = None
    """The GID that NCCL's rules choose; absent where none routes."""
    ucx_gid_index: Count | None = None
    """The GID that UCX's rules choose, where it is another."""


class Nic(Record, frozen=True, kw_only=True):
    """One NIC: a PCI function with a netdev, an RDMA device, or both."""

    name: Name
    """The RDMA device's name, else the netdev's."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    """Its PCIe function; absent for what is no PCI device."""
    path: str = ""
    """Of its data direct function, where it has one."""
    data_direct: PciAddress | None = field(default=None, name="dataDirectPciBusID")
    """The second function over which a ConnectX-8 reads GPU memory; distance counts from there."""
    numa_node: Count | None = None
    """The NUMA node of that function; absent where the firmware does not say."""
    netdevs: tuple[Name, ...] = ()
    """Its network devices, by name."""
    mtu_bytes: Bytes | None = None
    """The netdev's."""
    speed_bytes_per_second: Bytes | None = None
    """The netdev's, where no RDMA port says its rate."""
    operstate: str = ""
    """The netdev's: ``up``, ``down``, …"""
    virtual_functions: Count = 0
    """How many SR-IOV virtual functions are enabled."""
    default_route: bool = False
    """The host's default route goes out here, or over a bond that this is a member of."""
    link: PcieLink | None = None
    """Where it is narrower or slower than both ends could be; a NIC does not slow down while idle."""
    acs_redirect: bool | None = None
    """As a GPU's."""
    ports: tuple[NicPort, ...] = ()
    """Its RDMA ports; empty for a NIC without RDMA."""


class Nvme(Record, frozen=True, kw_only=True):
    """One NVMe controller."""

    name: Name
    """As the kernel calls it: ``nvme0``."""
    pci_address: PciAddress = field(name="pciBusID")
    """Its PCIe function."""
    path: str = ""
    """What it hangs from, root first."""
    numa_node: Count | None = None
    """The NUMA node of that function; absent where the firmware does not say."""


class PciRoot(Record, frozen=True, kw_only=True):
    """One PCI root bus, which is one host bridge: ``pci0000:15``."""

    root: Name
    """As Kubernetes' ``resource.kubernetes.io/pcieRoot`` spells it."""
    numa_node: Count | None = None
    """Of the functions below it; absent where none of them says, or they disagree."""
    functions: Count = 0
    """How many PCI functions it has."""


class StatedLevel(Record, frozen=True, kw_only=True):
    """How near a device is to another, as another tool's output states it without saying where they are."""

    a: Name
    """A device's key: ``GPU0``, or the name of a NIC or NVMe controller."""
    b: Name
    """The other's key."""
    level: Literal["PIX", "PXB", "PHB", "NODE", "SYS"]
    """In nvidia-smi's words."""


class NodeFacts(Record, frozen=True, kw_only=True):
    """What is said of a node. Every sequence is in its natural order, so equal nodes are equal bytes."""

    host: Host = Host()
    """The host and its driver."""
    numa: tuple[NumaNode, ...] = ()
    """NUMA nodes, by index."""
    pci: tuple[PciRoot, ...] = ()
    """PCI root buses."""
    gpus: tuple[Gpu, ...] = ()
    """GPUs, by index."""
    pairs: tuple[GpuPair, ...] = ()
    """What the driver says of pairs of GPUs, where it is more than the facts of each alone."""
    nvswitches: tuple[PciAddress, ...] = ()
    """PCI addresses of the NVSwitches on its bus."""
    nics: tuple[Nic, ...] = ()
    """NICs, by name."""
    nvmes: tuple[Nvme, ...] = ()
    """NVMe controllers, by name."""
    kubelet: KubeletFacts | None = None
    """The kubelet's resource managers."""
    attributes: dict[str, Attributes] = {}
    """Source → plain names and values that no conclusion rests on."""
    stated: tuple[StatedLevel, ...] = ()
    """Levels between devices, GPU pairs apart, whose paths are not known."""
    nvlink_hidden: bool = False
    """The input cannot show NVLink at all (``nvidia-smi topo -mp``, lspci): its groups are unknown, not none."""
    problems: tuple[Problem, ...] = ()
    """What should have been readable and was not."""


class NodeTopology(NodeFacts, frozen=True, kw_only=True):
    """What a node is: every GPU and every NIC with all that is known of it."""


def encode(node: NodeTopology) -> bytes:
    """The node as JSON, the same bytes for equal nodes."""
    return msgspec.json.encode(node, order="deterministic")


def digest(node: NodeTopology) -> str:
    """A short name for exactly these facts; equal digests mean that nothing has to be written."""
    import hashlib  # pulls in OpenSSL, which a one-shot dump has no use for

    return hashlib.blake2b(encode(node), digest_size=8).hexdigest()
