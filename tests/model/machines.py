"""Small machines for the tests of the model."""

from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import (
    GpuFabric,
    GpuFacts,
    GpuPairFacts,
    HostFacts,
    NumaFacts,
    NumaNode,
    NvmlFacts,
    PciDevice,
    PciFacts,
    RdmaDevice,
    RdmaFacts,
    RdmaPort,
)
from nvtopo.model.records.nvlinks import NvLink
from nvtopo.model.records.snapshot import VERSION, Snapshot


def address(bus: int) -> PciAddress:
    return PciAddress(f"0000:{bus:02x}:00.0")


def gpu(index: int, *links: NvLink, mig: bool | None = None, fabric: GpuFabric | None = None) -> GpuFacts:
    return GpuFacts(
        index=index,
        uuid=f"GPU-{index}",
        name="Test GPU",
        pci_address=address(0x10 + index),
        nvlink_count=len(links) or None,
        nvlinks=links,
        mig=mig,
        fabric=fabric,
    )


def bridge(link: int, peer: int, *, state: str = "active", rate: int | None = 25_000_000_000) -> NvLink:
    """A link to another GPU of the machine."""
    assert state in ("active", "inactive", "sleep")
    return NvLink(
        link=link,
        state=state,  # type: ignore[arg-type]  # asserted above
        version="4.0",
        bytes_per_second=rate,
        remote="gpu",
        remote_address=address(0x10 + peer),
    )


def to_switch(link: int, *, active: bool = True) -> NvLink:
    return NvLink(
        link=link,
        state="active" if active else "inactive",
        version="4.0",
        bytes_per_second=26_562_000_000 if active else None,
        remote="switch" if active else None,
    )


def gpu_function(index: int, *, numa_node: int | None = 0) -> PciDevice:
    """The GPU below a switch of its own, of root bus ``pci0000:00`` or of its NUMA node's."""
    root = f"pci0000:{numa_node or 0:02x}"
    return PciDevice(
        address=address(0x10 + index),
        path=f"{root}/0000:0{numa_node or 0}:01.0/0000:a{index}:00.0/0000:b{index}:00.0",
        class_code="0x030200",
        vendor="0x10de",
        numa_node=numa_node,
    )


def hca(index: int, *, switch: int, numa_node: int | None = 0) -> tuple[RdmaDevice, PciDevice]:
    """An HCA on the switch of GPU ``switch``."""
    root = f"pci0000:{numa_node or 0:02x}"
    function = PciDevice(
        address=address(0x40 + index),
        path=f"{root}/0000:0{numa_node or 0}:01.0/0000:a{switch}:00.0/0000:b{switch}:01.0",
        class_code="0x020700",
        vendor="0x15b3",
        numa_node=numa_node,
    )
    port = RdmaPort(number=1, state="ACTIVE", link_layer="InfiniBand")
    return RdmaDevice(name=f"mlx5_{index}", pci_address=function.address, ports=(port,)), function


def machine(
    *gpus: GpuFacts,
    functions: tuple[PciDevice, ...] | None = None,
    hcas: tuple[tuple[RdmaDevice, PciDevice], ...] = (),
    pairs: tuple[GpuPairFacts, ...] = (),
    nodes: int = 2,
) -> Snapshot:
    own = tuple(gpu_function(gpu.index) for gpu in gpus) if functions is None else functions
    return Snapshot(
        capture=VERSION,
        host=HostFacts(name="test"),
        numa=NumaFacts(
            nodes=tuple(NumaNode(index=index, cpus=f"{index * 8}-{index * 8 + 7}") for index in range(nodes))
        ),
        pci=PciFacts(devices=own + tuple(function for _, function in hcas)),
        rdma=RdmaFacts(devices=tuple(device for device, _ in hcas)) if hcas else None,
        nvml=NvmlFacts(driver_version="580.0", gpus=gpus, pairs=pairs),
    )
