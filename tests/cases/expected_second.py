"""Right answers for the second collection, as ``expected`` has them for the first.

``refused`` as a text is what the refusal must say; ``labels`` must be so, None must not be there.
"""

from typing import Any, Final

_NO_GPUS: Final = {"gpu.count": None, "ready": None, "nvlink.groups": None, "mig": None}
_ACTIVE: Final = {"active": 12, "inactive": 6}

EXPECTED_SECOND: Final[dict[str, dict[str, Any]]] = {
    "other/min-blank-cpu-spaces.txt": {"cpus": {"GPU0": "0-35", "GPU1": ""}, "gpu numa": {0: 0, 1: 1}},
    "other/min-blank-cpu-tabs.txt": {"cpus": {"GPU0": "0-35", "GPU1": ""}, "gpu numa": {0: 0, 1: 1}},
    "other/min-md-bold.txt": {"groups": ((0, 1),), "pairs": ["NV4"], "complete": True},
    "other/min-numa-header.txt": {
        "groups": ((0, 1),),
        "pairs": ["NV4"],
        "nic names": [],
        "gpu numa": {0: 0, 1: 0},
        "cpus": {"GPU0": "", "GPU1": ""},
    },
    "other/min-p2p-first.txt": {"groups": ((0, 1),), "cpus": {"GPU0": "0-31", "GPU1": "0-31"}},
    "other/min-q-quoted.txt": {"names": ["NVIDIA H100"], "driver": "570.00", "gpu addresses": ["0000:17:00.0"]},
    "other/min-rocm.txt": {"refused": "AMD"},
    "other/rocm-2mi100-pcie.txt": {"refused": "rocm-smi"},
    "topo_m/amd-mi300x-rocm-smi-showtopo.txt": {"refused": "rocm-smi"},
    "other/devgpu-two-rows-only.txt": {
        "gpus": 8,
        "groups": None,
        "says": "its row is missing",
        "labels": {"nvlink.groups": None, "nvlink.degraded": None, "ready": None},
    },
    "other/subset-gpu2-gpu5.txt": {
        "groups": None,
        "pairs": ["NV18"],
        "complete": False,
        "labels": {"gpu.count": None, "nvlink.groups": None, "nvlink.degraded": None, "ready": None},
    },
    "other/cpu-list-truncated.txt": {"says": "cuts it", "complete": False},
    "other/gb200-q-text-route-unhealthy.txt": {
        "fabric": "Unhealthy",
        "ready": False,
        "domain": "9c6f5af3-53bf-49b5-a436-000000000000.4026",
    },
    "other/kti-hardware-qx-gb200.xml": {"gpus": 4, "groups": None, "bandwidths": [None]},
    "other/kti-testdata-qx-gb200-fabric-degraded.xml": {"gpus": 2, "ready": False, "reasons": "fabric-unhealthy"},
    "other/l40s-qx-powershell-utf16.xml": {"names": ["NVIDIA L40S"], "gpu addresses": ["0000:30:00.0"]},
    "other/topo-then-ibstatus.txt": {
        "nearest": {"GPU0": ("PIX", ("mlx5_0",))},
        "port states": {"mlx5_0": ["DOWN"], "mlx5_1": ["ACTIVE"]},
    },
    "other/two-nodes-second-broken.txt": {"hosts": {"node-a": None, "node-b": False}},
    "topo_m/two-hosts-one-log.txt": {"hosts": {"node-a": None, "node-b": None}},
    "nccl_xml/gb300-two-trays-fused.xml": {"hosts": {"0xHOSTHASH_B": None, "0xHOSTHASH_A": None}},
    "nccl_xml/gb300-tray-gpu1-count0.xml": {"links": {0: 18, 1: 0, 2: 18, 3: 18}, "ready": False},
    "other/aws-g5.48xl-topo.xml": {"gpus": 0, "labels": _NO_GPUS, "driver": None},
    "other/topo-nic-legend-inline-arrow.txt": {"nic names": ["mlx5_0"], "complete": True},
    "other/h100pcie-nvlink-R-then-s.txt": {
        "links by state": {0: _ACTIVE, 1: _ACTIVE},
        "ends": {0: ("0000:d5:00.0", "0-3,6-9,12-15"), 1: ("0000:c2:00.0", "0-3,6-9,12-15")},
    },
    "other/h100pcie-smi-only-indented.txt": {
        "names": ["NVIDIA H100 PCIe"] * 2,
        "gpu addresses": ["0000:c2:00.0", "0000:d5:00.0"],
        "driver": "555.42.02",
    },
    "other/v100-inactive-uuid-dots.txt": {
        "names": ["Tesla V100-SXM2-32GB"],
        "links by state": {3: {"active": 4, "inactive": 2}},
        "labels": {"gpu.count": None, "ready": None},
    },
    "not_yet_read/ibdev2netdev.txt": {
        "netdevs": {"mlx5_0": ("ib0",), "mlx5_1": ("ib1",)},
        "labels": _NO_GPUS,
    },
    "not_yet_read/ibv_devinfo.txt": {"port states": {"mlx5_7": ["ACTIVE"]}, "labels": _NO_GPUS},
    "not_yet_read/lspci-tv-vm-h200.txt": {
        "gpu addresses": ["0000:05:00.0", "0000:06:00.0"],
        "groups": None,
        "nic names": ["0000:01:00.0", "0000:0d:00.0"],
    },
    "not_yet_read/nccl-info.log": {
        "gpu addresses": ["0000:16:00.0"],
        "gpu numa": {0: 0},
        "nic names": ["mlx5_0", "mlx5_1"],
    },
    "not_yet_read/numactl-H.txt": {"numa": 2, "labels": _NO_GPUS},
    "not_yet_read/nvidia-smi-L.txt": {"names": ["NVIDIA GB200"] * 2, "groups": None, "labels": {"ready": None}},
    "not_yet_read/nvlink-c.txt": {"names": ["NVIDIA H100 80GB HBM3"], "labels": {"ready": None}},
    "not_yet_read/q-fabric-grep.txt": {"ready": False, "fabric": "Error", "labels": {"gpu.count": None}},
    "not_yet_read/rdma-link.txt": {
        "port states": {"mlx5_0": ["ACTIVE"], "mlx5_bond_0": ["ACTIVE"]},
        "labels": _NO_GPUS,
    },
    "not_yet_read/rocm-showtopo.txt": {"refused": "rocm-smi"},
    "not_yet_read/show_gids.txt": {"gid indices": {"mlx5_0": [3]}, "labels": _NO_GPUS},
}
