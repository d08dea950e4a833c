"""Well-formed output of tools of NICs, NUMA, PCI and NCCL for invented machines, as ``samples`` has it for others."""


def ibv_devinfo() -> bytes:
    return "".join(
        f"hca_id:\tmlx5_{index}\n\ttransport:\t\t\tInfiniBand (0)\n\tfw_ver:\t\t\t\t28.1.2\n"
        f"\tnode_guid:\t\t\t0000:0000:0000:000{index}\n\tphys_port_cnt:\t\t\t1\n\t\tport:\t1\n"
        "\t\t\tstate:\t\t\tPORT_ACTIVE (4)\n\t\t\tmax_mtu:\t\t4096 (5)\n\t\t\tactive_mtu:\t\t1024 (3)\n"
        "\t\t\tlink_layer:\t\tEthernet\n\t\t\tactive_width:\t\t4X (2)\n\t\t\tactive_speed:\t\t100.0 Gbps (128)\n\n"
        for index in range(2)
    ).encode()


def ibdev2netdev() -> bytes:
    return b"mlx5_0 port 1 ==> ens1np0 (Up)\nmlx5_1 port 1 ==> ib1 (Down)\n"


def ibdev2netdev_v() -> bytes:
    return (
        b"0000:18:00.0 mlx5_0 (MT1 - INVENTED) CX  NIC fw 28.1.2 port 1 (ACTIVE) ==> ens1np0 (Up)\n"
        b"0000:29:00.0 mlx5_1 (MT1 - INVENTED) CX  NIC fw 28.1.2 port 1 (DOWN  ) ==> ib1 (Down)\n"
    )


def rdma_link() -> bytes:
    return (
        b"link mlx5_0/1 subnet_prefix fe80:0000:0000:0000 lid 7 sm_lid 1 lmc 0 state ACTIVE physical_state LINK_UP \n"
        b"link mlx5_1/1 state DOWN physical_state DISABLED netdev ens2np0 \n"
    )


def show_gids() -> bytes:
    local, mapped = "fe80:" + "0000:" * 6 + "0001", "0000:" * 5 + "ffff:0a00:0001"
    return (
        "DEV\tPORT\tINDEX\tGID\t\t\t\t\tIPv4  \t\tVER\tDEV\n---\t----\t-----\t---\t\t\t\t\t---\t\t---\t---\n"
        f"mlx5_0\t1\t0\t{local}\t\t\tv1\tens1np0\nmlx5_0\t1\t1\t{local}\t\t\tv2\tens1np0\n"
        f"mlx5_0\t1\t2\t{mapped}\t10.0.0.1  \tv1\tens1np0\nmlx5_0\t1\t3\t{mapped}\t10.0.0.1  \tv2\tens1np0\n"
        "n_gids_found=4\n"
    ).encode()


def numactl() -> bytes:
    return (
        b"available: 2 nodes (0-1)\nnode 0 cpus: 0 2 4 6\nnode 0 size: 1024 MB\nnode 0 free: 7 MB\n"
        b"node 1 cpus: 1 3 5 7\nnode 1 size: 2048 MB\nnode 1 free: 7 MB\nnode distances:\nnode   0   1 \n"
        b"  0:  10  21 \n  1:  21  10 \n"
    )


def lspci_tree() -> bytes:
    return (
        b"-+-[0000:40]-+-00.0  Intel Corporation Invented\n"
        b" |           \\-01.0-[41-44]----00.0-[42-44]--+-00.0-[43]----00.0  NVIDIA Corporation GX100 [Invented]\n"
        b" |                                           \\-01.0-[44]----00.0  Mellanox Technologies [ConnectX-9]\n"
        b" \\-[0000:00]-+-00.0  Intel Corporation Invented\n"
        b"             +-01.0-[01]----00.0  NVIDIA Corporation Device 2335\n"
        b"             \\-02.0-[02]--+-00.0  Samsung Electronics Co Ltd NVMe SSD Controller\n"
        b"                          \\-00.1  NVIDIA Corporation GX100 High Definition Audio Controller\n"
    )


def lstopo() -> bytes:
    return b"""Machine (24GB total)
  Package L#0
    NUMANode L#0 (P#0 8GB)
    L3 L#0 (32MB)
      Core L#0
        PU L#0 (P#0)
        PU L#1 (P#4)
    HostBridge
      PCIBridge
        PCIBridge
          PCI 17:00.0 (3D)
            GPU(NVML) "nvml0"
        PCIBridge
          PCI 18:00.0 (InfiniBand)
            Net "ib0"
            OpenFabrics "mlx5_0"
  Package L#1
    NUMANode L#1 (P#1 16GB)
    L3 L#1 (32MB) + Core L#1 + PU L#2 (P#2)
    HostBridge
      PCIBridge
        PCI 97:00.0 (3D)
          GPU(NVML) "nvml1"
      PCIBridge
        PCI 98:00.0 (Ethernet)
          Net "eno1"
"""


def nccl_log() -> bytes:
    return "".join(
        f"n-1:70{rank}:71{rank} [{rank}] NCCL INFO {line}\n" for rank in range(2) for line in _nccl_lines(rank)
    ).encode()


def _nccl_lines(rank: int) -> tuple[str, ...]:
    bus, other = ("16000", "97000") if rank == 0 else ("97000", "16000")
    return (
        "NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_1:1/RoCE [RO]; OOB eth0:10.0.0.1<0>",
        f"ncclCommInitRankConfig comm 0x1 rank {rank} nranks 2 cudaDev 0 nvmlDev {rank} busId {bus} commId 0x2",
        "=== System : maxBw 40.0 totalBw 40.0 ===",
        "CPU/0-0 (1/1/2)",
        "+ PCI[24.0] - PCI/0-15000 (1000c030)",
        "              + PCI[24.0] - GPU/0-16000 (0)",
        "              + PCI[24.0] - NIC/0-17000",
        "                            + NET[50.0] - NET/0-0 (0)",
        "CPU/0-1 (1/1/2)",
        "+ PCI[24.0] - GPU/0-97000 (1)",
        "==========================================",
        f"GPU/0-{bus} :GPU/0-{bus} (0/5000.0/LOC) GPU/0-{other} (3/20.0/SYS) CPU/0-0 (1/24.0/PHB) NET/0-0 (2/24.0/PIX)",
    )


def topo_path() -> bytes:
    return b"$ nvidia-smi topo -p -i 0,1\nDevice 0 is connected to device 1 by way of multiple PCIe switches.\n"


def fabric() -> bytes:
    return b"".join(
        b"    Fabric\n        State                             : Completed\n"
        b"        Status                            : " + status + b"\n        CliqueId                          : 7\n"
        b"        Health\n            Bandwidth                     : Full\n--\n"
        for status in (b"Success", b"Insufficient Resources")
    )


def remote_links() -> bytes:
    return b"".join(
        b"GPU %d: invented (UUID: GPU-%d)\n" % (index, index)
        + b"".join(b"\t Link %d: Remote Device 00000000:0%d:00.0: Link %d\n" % (n, 2 - index, n) for n in range(2))
        for index in range(2)
    )


TOOLS = {
    "ibv_devinfo": ibv_devinfo,
    "ibdev2netdev": ibdev2netdev,
    "ibdev2netdev-v": ibdev2netdev_v,
    "rdma-link": rdma_link,
    "show_gids": show_gids,
    "numactl": numactl,
    "lspci-tv": lspci_tree,
    "lstopo": lstopo,
    "nccl-log": nccl_log,
    "topo-p": topo_path,
    "fabric": fabric,
    "nvlink-R": remote_links,
}
