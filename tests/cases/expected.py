"""Right answers for files that have no truth file beside them, in our own words; keys are those of ``stated.FOUND``."""

from typing import Any, Final

GIGABIT: Final = 125_000_000

EXPECTED: Final[dict[str, dict[str, Any]]] = {
    "nccl_xml/azure-ncv4-graph.xml": {"refused": True},
    "hwloc/power8gpudistances.xml": {"gpus": 4, "numa": 2, "groups": ((0, 1), (2, 3)), "remotes": {"gpu": 8, "npu": 8}},
    "hwloc/nvidia-dgx-gb10.tar.bz2": {"gpus": 0, "numa": 1, "says": "no NVIDIA GPU"},
    "hwloc/nvidia-dgx-gb10.xml": {"gpus": 0, "numa": 1, "says": "no NVIDIA GPU"},
    "hwloc/nvidia-dgx-gb10-nomidr.xml": {"gpus": 0, "numa": 1, "says": "no NVIDIA GPU"},
    "hwloc/32em64t-2n8c2t-pci-normalio.xml": {
        "gpu addresses": ["0000:84:00.0"],
        "gpu numa": {0: 1},
        "levels": {"mlx5_0": "NODE", "eth0": "PHB", "eth1": "PHB"},
        "nics": {"mlx5_0": "0000:04:00.0", "eth0": "0000:81:00.0", "eth1": "0000:81:00.1"},
    },
    "hwloc/32em64t-2n8c2t-pci-wholeio.xml": {
        "gpu addresses": ["0000:84:00.0"],
        "gpu numa": {0: 1},
        "levels": {"mlx5_0": "NODE", "eth0": "PHB", "eth1": "PHB"},
        "nics": {"mlx5_0": "0000:04:00.0", "eth0": "0000:81:00.0", "eth1": "0000:81:00.1"},
    },
    "hwloc/40intel64-2g2n4c+pcilocality.tar.bz2": {"gpus": 0, "numa": 4, "address of": {"qib0": "0000:43:00.0"}},
    "hwloc/40intel64-2g2n4c+pcilocality.xml": {"gpus": 0, "numa": 4, "address of": {"qib0": "0000:43:00.0"}},
    "hwloc/2pa-pcidomain32bits.tar.bz2": {"gpus": 0, "roots": ["pci0000:00", "pci10000:00"]},
    "hwloc/40intel64-4n10c+pci-conflicts.tar.bz2": {"gpus": 0, "numa": 4},
    "hwloc/96em64t-4n4d3ca2co-pci.xml": {"gpus": 0, "numa": 4},
    "hwloc/irregulargroups-disallowed.xml": {"numa": 8, "allowed": "0-15"},
    "hwloc/2pa-pcidomain32bits.console": {"refused": True},
    "hwloc/40intel64-4n10c+pci-conflicts.console": {"refused": True},
    "sysfs/gpud-sys-class-infiniband-h100.tar.gz": {
        "gpus": 0,
        "nic names": [*(f"mlx5_{number}" for number in (0, 1, 4, 5, 6, 7, 8, 9)), "mlx5_bond_0"],
        "ports": {
            ("ACTIVE", "InfiniBand", 400 * GIGABIT): 8,
            ("ACTIVE", "Ethernet", 200 * GIGABIT): 1,
        },
    },
    "sysfs/nfd-testdata-source.tar.gz": {"gpus": 0, "functions": 11},
    "sysfs/node_exporter-udev.ttar": {"refused": True},
    "ib_tools/gpud-ibstat.47.0.h100.all.active.0.txt": {
        "ports": {("ACTIVE", "Ethernet", 400 * GIGABIT): 8, ("ACTIVE", "Ethernet", 100 * GIGABIT): 4}
    },
    "ib_tools/gpud-ibstat.47.0.h100.all.active.1.txt": {
        "ports": {("ACTIVE", "Ethernet", 400 * GIGABIT): 8, ("ACTIVE", "Ethernet", 100 * GIGABIT): 4}
    },
    "ib_tools/gpud-ibstat.47.0.h100.some.down.0.txt": {"states": {"ACTIVE": 9, "DOWN": 3}},
    "ib_tools/gpud-ibstatus.39.0.a100.all.active.0.txt": {"states": {"ACTIVE": 9}},
    "smi_q/gpud-nvidia-smi-query.560.35.03.out.0.valid.txt": {"gpus": 1, "names": ["NVIDIA TITAN V"], "domain": None},
    "smi_q/gpud-nvidia-smi.525.125.06.out.0.valid.txt": {"gpu addresses": ["0000:01:00.0"]},
    "smi_xml/netdata-a100-sxm4-mig.xml": {"gpus": 1, "groups": None},
    "smi_captures/linux-x86_64__nvidia-h200-mig__590.48.01.txt": {"gpus": 1, "groups": None, "names": ["NVIDIA H200"]},
    "smi_captures/linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01.txt": {"gpus": 1, "links": {0: 18}},
    "smi_captures/linux-x86_64__nvidia-l40s__595.80.txt": {"gpus": 1, "links": {0: 0}},
    "smi_captures/linux-x86_64__nvidia-geforce-rtx-2080-super__595.71.05.txt": {"gpus": 1, "links": {0: 0}},
    "smi_nvlink/gpud-nvidia-smi.nvlink.status.a100.txt": {
        "links": dict.fromkeys(range(8), 12),
        "rates": [25_000_000_000],
        "groups": None,
    },
    "smi_nvlink/capture-nvidia-h100-80gb-hbm3-590.48.01.txt": {"links": {0: 18}, "rates": [26_562_000_000]},
    "smi_nvlink/capture-nvidia-h200-mig-590.48.01.txt": {"gpus": 1, "groups": None},
    "smi_nvlink/capture-nvidia-l40s-595.80.txt": {"links": {0: 0}, "groups": ()},
    "smi_nvlink/capture-nvidia-geforce-rtx-2080-super-595.71.05.txt": {"links": {0: 0}, "groups": ()},
    "smi_nvlink/gpud-lspci.nn.a100.txt": {"gpus": 8, "nvswitches": 6, "groups": None},
    "smi_nvlink/gpud-lspci.nn.a10.txt": {"gpus": 1, "nvswitches": 0},
    "smi_nvlink/gpud-fabricmanager.log.txt": {"refused": True},
    "machine_dumps/gpud-lspci-vvv.txt": {"gpus": 8, "nvswitches": 4, "groups": None},
    "machine_dumps/stelline-asus-esc8000a-e12.md": {"gpus": 4, "nic names": [f"mlx5_{n}" for n in range(4)]},
}
