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
    kernel: Name = ""
    vendor: Name = ""
    product: Name = ""
    hypervisor: bool = False
    driver_version: Name | None = None
    """NVIDIA driver, as NVML says; absent where there is none or it does not answer."""
    cuda_version: Name | None = None
    nvidia_open: bool = False
    """The open kernel module is loaded: GPU memory can be exported as dma-buf."""
    peermem: bool = False
    """nvidia-peermem is loaded."""
    iommu: tuple[Name, ...] = ()
    """IOMMU domain types of the GPUs and NICs: ``identity``, ``DMA``, ``DMA-FQ``; empty where no IOMMU is at work."""
    isolated_cpus: str = ""
    allowed_cpus: str = ""
    """CPUs that this process may use, where they are fewer than those online."""


class NvLinkBundle(Record, frozen=True, kw_only=True):
    """NVLinks of one GPU that are alike in everything said here; a link unlike its siblings stands alone."""

    links: str
    """Link numbers in the kernel's list format: ``0-4``."""
    state: str | None = None
    """``active``, ``inactive``, ``sleep``, ``traffic-disabled``; absent where the driver did not answer."""
    version: str = ""
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
    uuid: Name
    name: Name = ""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
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
    memory_bytes: Bytes | None = None
    memory_numa_node: Count | None = None
    mig: bool | None = None
    link: PcieLink | None = None
    """Without the current generation, which changes with the load."""
    acs_redirect: bool | None = None
    """Whether a bridge above it sends peer traffic up to the root; absent where that can't be read."""
    nvlink_count: Count | None = None
    nvlinks: tuple[NvLinkBundle, ...] = ()
    nvlink_training: bool = False
    """Not all links are up, or the fabric is not, and the boot is so recent that they may still be coming."""
    fabric: GpuFabric | None = None
    platform: GpuPlatform | None = None
    c2c_links: Count | None = None
    c2c_bytes_per_second: Bytes | None = None

    @property
    def key(self) -> str:
        """``GPU0``, as nvidia-smi heads its columns."""
        return f"GPU{self.index}"


class GpuPair(Record, frozen=True, kw_only=True):
    """What the driver says of two GPUs (``a`` < ``b``, indices) and the facts of each alone do not."""

    a: Count
    b: Count
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
    state: str = ""
    link_layer: str = ""
    rate_bytes_per_second: Bytes | None = None
    active_mtu_bytes: Bytes | None = None
    gid_index: Count | None = None
    """The GID that NCCL's rules choose; absent where none routes."""
    ucx_gid_index: Count | None = None
    """The GID that UCX's rules choose, where it is another."""


class Nic(Record, frozen=True, kw_only=True):
    """One NIC: a PCI function with a netdev, an RDMA device, or both."""

    name: Name
    """The RDMA device's name, else the netdev's."""
    pci_address: PciAddress | None = field(default=None, name="pciBusID")
    path: str = ""
    """Of its data direct function, where it has one."""
    data_direct: PciAddress | None = field(default=None, name="dataDirectPciBusID")
    """The second function over which a ConnectX-8 reads GPU memory; distance counts from there."""
    numa_node: Count | None = None
    netdevs: tuple[Name, ...] = ()
    mtu_bytes: Bytes | None = None
    """The netdev's."""
    speed_bytes_per_second: Bytes | None = None
    """The netdev's, where no RDMA port says its rate."""
    operstate: str = ""
    virtual_functions: Count = 0
    default_route: bool = False
    """The host's default route goes out here, or over a bond that this is a member of."""
    link: PcieLink | None = None
    """Where it is narrower or slower than both ends could be; a NIC does not slow down while idle."""
    acs_redirect: bool | None = None
    """As a GPU's."""
    ports: tuple[NicPort, ...] = ()


class Nvme(Record, frozen=True, kw_only=True):
    """One NVMe controller."""

    name: Name
    pci_address: PciAddress = field(name="pciBusID")
    path: str = ""
    numa_node: Count | None = None


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
    level: Literal["PIX", "PXB", "PHB", "NODE", "SYS"]


class NodeFacts(Record, frozen=True, kw_only=True):
    """What is said of a node. Every sequence is in its natural order, so equal nodes are equal bytes."""

    host: Host = Host()
    numa: tuple[NumaNode, ...] = ()
    pci: tuple[PciRoot, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    pairs: tuple[GpuPair, ...] = ()
    nvswitches: tuple[PciAddress, ...] = ()
    nics: tuple[Nic, ...] = ()
    nvmes: tuple[Nvme, ...] = ()
    kubelet: KubeletFacts | None = None
    attributes: dict[str, Attributes] = {}
    stated: tuple[StatedLevel, ...] = ()
    """Levels between devices, GPU pairs apart, whose paths are not known."""
    nvlink_hidden: bool = False
    """The input cannot show NVLink at all (``nvidia-smi topo -mp``, lspci): its groups are unknown, not none."""
    problems: tuple[Problem, ...] = ()


class NodeTopology(NodeFacts, frozen=True, kw_only=True):
    """What a node is: every GPU and every NIC with all that is known of it."""


def encode(node: NodeTopology) -> bytes:
    """The node as JSON, the same bytes for equal nodes."""
    return msgspec.json.encode(node, order="deterministic")


def digest(node: NodeTopology) -> str:
    """A short name for exactly these facts; equal digests mean that nothing has to be written."""
    import hashlib  # pulls in OpenSSL, which a one-shot dump has no use for

    return hashlib.blake2b(encode(node), digest_size=8).hexdigest()
