"""What a machine should have: as an operator or the fleet says it, and as the agent says it in the resource."""

from typing import Annotated

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.record import Bytes, Index, Name, Record, ShortWord, Small


class PcieExpectation(Record, frozen=True, kw_only=True):
    """The PCIe link of each GPU and of each NIC on a rail, as it should have been trained."""

    width: Small | None = None
    """Number of lanes."""
    generation: Small | None = None
    """The best that both ends can do; an idle GPU lowers what it uses."""


class FirmwareExpectation(Record, frozen=True, kw_only=True):
    """The firmware of NICs of one model."""

    model: ShortWord
    """PCI vendor and device, such as ``15b3:1021``."""
    version: Name
    """As the NIC states it."""


class VersionExpectation(Record, frozen=True, kw_only=True):
    """Versions, exactly as the node states them."""

    driver: Name | None = None
    """Of the NVIDIA driver."""
    cuda: Name | None = None
    """The newest CUDA that the driver supports."""
    kernel: Name | None = None
    """The running kernel's release."""
    vbios: Name | None = None
    """The firmware of each GPU."""
    nic_firmware: Annotated[tuple[FirmwareExpectation, ...], Meta(max_length=limits.MOST_EXPECTED)] = ()
    """Of each NIC on a rail, by model."""


class Expectation(Record, frozen=True, kw_only=True):
    """What a machine should have; what is absent is not expected."""

    gpus: Index | None = None
    """GPUs that answer, those that do not, and those that a userspace driver holds."""
    nics: Index | None = None
    """NICs, those of the front network and of storage included."""
    rails: Index | None = None
    """NICs of the compute network."""
    nvlinks_per_gpu: Index | None = None
    """Usable NVLinks of each GPU."""
    mtu_bytes: Bytes | None = None
    """Of each rail's netdev."""
    rdma_mtu_bytes: Bytes | None = None
    """Active MTU of each rail's RDMA port."""
    gid_index: Index | None = None
    """The GID of each rail that NCCL's rules choose."""
    pcie: PcieExpectation | None = None
    """The PCIe link of each GPU and of each NIC on a rail."""
    versions: VersionExpectation | None = None
    """Versions, exactly as the node states them."""


class Expected(Expectation, frozen=True, kw_only=True):
    """What is expected of this machine, from every source: the first that states a field decides it."""

    learned: Annotated[tuple[ShortWord, ...], Meta(max_length=limits.MOST_EXPECTED)] = ()
    """Fields that nobody stated: learned from machines of the same shape, or from what the agent has seen."""
