"""Two machines, written out: what an 8-GPU HGX node says of itself, and one that says next to nothing."""

from nvtopo.model.formats.address import PciAddress
from nvtopo.model.formats.cpulist import format_cpulist
from nvtopo.model.records.facts import GpuFabric, NumaNode, PcieLink
from nvtopo.model.records.node import Gpu, Host, Nic, NicPort, NodeTopology, Nvme
from nvtopo.model.records.nvlinks import NvLinkBundle
from nvtopo.model.records.record import Problem

_BUSES = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF)


def small(driver: str = "580.65.06") -> NodeTopology:
    """One GPU without anything around it."""
    gpu = Gpu(index=0, uuid="GPU-0", name="NVIDIA L4")
    return NodeTopology(host=Host(driver_version=driver), gpus=(gpu,))


def hgx() -> NodeTopology:
    """Eight GPUs with 18 links each, eight ConnectX-7, two sockets, synthetic; every optional part is there once."""
    return NodeTopology(
        host=Host(
            architecture="x86_64",
            kernel="6.8.0-60-generic",
            vendor="NVIDIA",
            product="DGXH100",
            driver_version="580.65.06",
            cuda_version="13.0",
        ),
        numa=tuple(
            NumaNode(
                index=node,
                cpus=_cpus(node),
                memory_bytes=1_081_966_460_928,
                distances=(10, 21) if node == 0 else (21, 10),
            )
            for node in (0, 1)
        ),
        gpus=tuple(_gpu(index) for index in range(8)),
        nvswitches=tuple(PciAddress(f"0000:{bus:02x}:00.0") for bus in (5, 6, 7, 8)),
        nics=tuple(_nic(index) for index in range(8)),
        nvmes=tuple(_nvme(index) for index in range(8)),
        attributes={"vendor": {"slot": "U7", "rails": 8, "liquid": True}},
        problems=(Problem(source="rdma", subject="mlx5_3/1", reason="rate: Input/output error"),),
    )


def _cpus(node: int) -> str:
    return format_cpulist([*range(node * 56, node * 56 + 56), *range(112 + node * 56, 168 + node * 56)])


def _path(index: int) -> str:
    bus = _BUSES[index]
    root = f"pci0000:{bus - 6:02x}"
    return f"{root}/0000:{bus - 6:02x}:01.0/0000:{bus - 5:02x}:00.0/0000:{bus - 4:02x}:02.0"


def _gpu(index: int) -> Gpu:
    return Gpu(
        index=index,
        uuid=f"GPU-5fd4f087-86f3-7a43-b711-4771313af{index:03x}",
        name="NVIDIA H100 80GB HBM3",
        pci_address=PciAddress(f"0000:{_BUSES[index]:02x}:00.0"),
        path=_path(index),
        numa_node=index // 4,
        module_id=(index + 3) % 8 + 1,
        memory_bytes=85_520_809_984,
        mig=False,
        link=PcieLink(width=16, max_generation=5, max_width=16),
        nvlink_count=18,
        nvlinks=(
            NvLinkBundle(links="0-17", state="active", version="4.0", bytes_per_second=26_562_000_000, remote="switch"),
        ),
        fabric=GpuFabric(state="completed", status=0, cluster_uuid="00000000-0000-0000-0000-000000000000", clique_id=0),
    )


def _nic(index: int) -> Nic:
    port = NicPort(
        number=1,
        state="ACTIVE",
        link_layer="Ethernet",
        rate_bytes_per_second=50_000_000_000,
        active_mtu_bytes=4096,
    )
    return Nic(
        name=f"mlx5_{index}",
        pci_address=PciAddress(f"0000:{_BUSES[index] - 3:02x}:00.0"),
        path=_path(index).rpartition("/")[0] + f"/0000:{_BUSES[index] - 4:02x}:01.0",
        numa_node=index // 4,
        netdevs=(f"rdma{index}",),
        mtu_bytes=9000,
        speed_bytes_per_second=50_000_000_000,
        operstate="up",
        ports=(port,),
    )


def _nvme(index: int) -> Nvme:
    return Nvme(
        name=f"nvme{index}",
        pci_address=PciAddress(f"0000:{_BUSES[index] - 2:02x}:00.0"),
        path=_path(index).rpartition("/")[0] + f"/0000:{_BUSES[index] - 4:02x}:03.0",
        numa_node=index // 4,
    )
