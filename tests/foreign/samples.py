"""Well-formed output of each tool for invented machines, made by the grammar of the output; no tool's own text."""

import gzip
import io
import tarfile
from collections.abc import Callable, Sequence
from typing import Final

from tests.foreign.samples_tools import TOOLS

_LEGEND: Final = "\nLegend:\n\n  X    = Self\n  SYS  = far\n  PIX  = near\n  NV#  = bonded links\n"


def matrix(
    cells: Sequence[Sequence[str]], labels: Sequence[str], tails: Sequence[str] = (), *, legend: str = _LEGEND
) -> str:
    """A matrix with tabs; ``tails`` are what follows the cells of the GPUs' rows."""
    rows = [
        "\t".join([label, *row]) + (f"\t{tails[position]}" if position < len(tails) else "")
        for position, (label, row) in enumerate(zip(labels, cells, strict=True))
    ]
    header = "\t".join(["", *labels, "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"])
    return "\n".join([header, *rows, legend])


def switched(gpus: int = 4, nics: int = 2, links: str = "NV18") -> tuple[list[list[str]], list[str], list[str]]:
    """Cells, labels and tails of GPUs on one switch, with a NIC beside each of the first ones."""
    labels = [f"GPU{index}" for index in range(gpus)] + [f"NIC{index}" for index in range(nics)]
    cells = [[_cell(row, column, gpus, links) for column in range(len(labels))] for row in range(len(labels))]
    tails = [f"{8 * index}-{8 * index + 7}\t{index % 2}\t\tN/A" for index in range(gpus)]
    return cells, labels, tails


def _cell(row: int, column: int, gpus: int, links: str) -> str:
    if row == column:
        return " X "
    if max(row, column) < gpus:
        return links
    return "PIX" if abs(row - column) == gpus else "SYS"


def topo() -> bytes:
    cells, labels, tails = switched()
    return (matrix(cells, labels, tails) + "\nNIC Legend:\n\n  NIC0: mlx5_0\n  NIC1: mlx5_bond_1\n").encode()


def topo_spaces() -> bytes:
    return topo().expandtabs(8)


def nccl() -> bytes:
    switches = "".join(
        f'<pci busid="0000:{bus}0:00.0" class="0x060400" link_speed="32.0 GT/s PCIe" link_width="16">'
        f'<pci busid="0000:{bus}1:00.0" class="0x030200" link_speed="32.0 GT/s PCIe" link_width="16">'
        f'<gpu dev="{bus - 1}" sm="90" rank="{bus - 1}" gdr="1">'
        f'<nvlink target="0000:{3 - bus}1:00.0" count="4" tclass="0x030200"/><c2c bw="40000" count="5"/></gpu></pci>'
        f'<pci busid="0000:{bus}2:00.0" class="0x020700" link_speed="32.0 GT/s PCIe" link_width="16"><nic>'
        f'<net name="mlx5_{bus}" dev="0" speed="400000" port="1" guid="0x0" gdr="1"/></nic></pci></pci>'
        for bus in (1, 2)
    )
    return (
        f'<system version="1">\n<cpu host_hash="0x1" numaid="0" affinity="00000000,0000ffff" arch="x86_64">'
        f"{switches}</cpu>\n</system>\n"
    ).encode()


def hwloc() -> bytes:
    gpus = "".join(
        f'<object type="Bridge" bridge_type="1-1" depth="1" bridge_pci="0000:[0{bus}-0{bus}]" '
        f'pci_busid="0000:00:0{bus}.0" pci_type="0604 [8086:0001] [0000:0000] 00 00">'
        f'<object type="PCIDev" pci_busid="0000:0{bus}:00.0" pci_type="0302 [10de:2330] [0000:0000] a1 00">'
        f'<object type="OSDev" gp_index="{10 + bus}" name="nvml{bus - 1}" osdev_type="1">'
        f'<info name="GPUModel" value="invented"/></object></object></object>'
        for bus in (1, 2)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n<topology version="2.0">'
        '<object type="Machine" os_index="0" cpuset="0x000000ff" allowed_cpuset="0x0000000f" nodeset="0x1">'
        '<object type="NUMANode" os_index="0" cpuset="0x000000ff" nodeset="0x1" local_memory="1024"/>'
        f'<object type="Bridge" bridge_type="0-1" depth="0" bridge_pci="0000:[00-02]">{gpus}</object></object>'
        '<distances2hetero nbobjs="2" kind="25" name="NVLinkBandwidth"><indexes>OSDev:11 OSDev:12 </indexes>'
        "<u64values>1000000 100000 100000 1000000 </u64values></distances2hetero></topology>\n"
    ).encode()


def query_xml() -> bytes:
    gpus = "".join(
        f'<gpu id="00000000:{bus}1:00.0"><product_name>invented</product_name><uuid>GPU-{bus}</uuid>'
        "<mig_mode><current_mig>Disabled</current_mig></mig_mode><pci><pci_gpu_link_info><pcie_gen>"
        "<max_link_gen>5</max_link_gen></pcie_gen><link_widths><max_link_width>16x</max_link_width></link_widths>"
        "</pci_gpu_link_info></pci><fb_memory_usage><total>1024 MiB</total></fb_memory_usage><fabric>"
        "<state>Completed</state><status>Success</status><cliqueId>7</cliqueId>"
        "<clusterUuid>11111111-2222-3333-4444-555555555555</clusterUuid></fabric></gpu>"
        for bus in (1, 2)
    )
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>'
        f"<driver_version>580.0</driver_version><attached_gpus>2</attached_gpus>{gpus}</nvidia_smi_log>\n"
    ).encode()


def query() -> bytes:
    gpus = "".join(
        f"GPU 00000000:{bus}1:00.0\n    Product Name : invented\n    GPU UUID : GPU-{bus}\n    MIG Mode\n"
        "        Current : Enabled\n    PCI\n        GPU Link Info\n            Link Width\n"
        "                Max : 16x\n    Fabric\n        State : Completed\n        CliqueId : 3\n"
        "    Processes : None\n"
        for bus in (1, 2)
    )
    return f"==============NVSMI LOG==============\n\nDriver Version : 580.0\nAttached GPUs : 2\n{gpus}".encode()


def nvlink() -> bytes:
    gpus = "".join(
        f"GPU {index}: invented (UUID: GPU-{index})\n\t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\n"
        for index in range(2)
    )
    return gpus.encode()


def ibstat() -> bytes:
    return "".join(
        f"CA 'mlx5_{index}'\n\tCA type: MT4129\n\tNumber of ports: 1\n\tPort 1:\n\t\tState: Active\n"
        "\t\tPhysical state: LinkUp\n\t\tRate: 400\n\t\tLink layer: InfiniBand\n"
        for index in range(2)
    ).encode()


def ibstatus() -> bytes:
    return "".join(
        f"Infiniband device 'mlx5_{index}' port 1 status:\n\tstate:\t\t 4: ACTIVE\n\tphys state:\t 5: LinkUp\n"
        "\trate:\t\t 200 Gb/sec (4X HDR)\n\tlink_layer:\t InfiniBand\n\n"
        for index in range(2)
    ).encode()


def lspci() -> bytes:
    return (
        b"00:00.0 Host bridge [0600]: Intel Corporation Invented [8086:0001]\n"
        b"00:01.0 PCI bridge [0604]: Intel Corporation Invented [8086:0002]\n"
        b"\tBus: primary=00, secondary=01, subordinate=02, sec-latency=0\n\tNUMA node: 0\n"
        b"01:00.0 3D controller [0302]: NVIDIA Corporation GX100 [Invented] [10de:2330] (rev a1)\n"
        b"\tNUMA node: 0\n\tLnkCap:\tPort #0, Speed 32GT/s, Width x16, ASPM\n\tLnkSta:\tSpeed 2.5GT/s, Width x16\n"
        b"10000:01:00.0 Ethernet controller [0200]: Mellanox Technologies Invented [15b3:1021]\n"
    )


def archive() -> bytes:
    """A packed ``/sys`` with one GPU, one RDMA device, and a loop of links."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path, content in _SYSFS.items():
            member = tarfile.TarInfo(f"host/sys/{path}")
            if content.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, content[3:]
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


_SYSFS: Final = {
    "bus/pci/devices/0000:01:00.0": "-> ../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
    "bus/pci/devices/0000:02:00.0": "-> ../../../devices/pci0000:00/0000:00:02.0/0000:02:00.0",
    "devices/pci0000:00/0000:00:01.0/0000:01:00.0/class": "0x030200\n",
    "devices/pci0000:00/0000:00:01.0/0000:01:00.0/vendor": "0x10de\n",
    "devices/pci0000:00/0000:00:01.0/0000:01:00.0/numa_node": "0\n",
    "devices/pci0000:00/0000:00:02.0/0000:02:00.0/class": "0x020700\n",
    "devices/pci0000:00/0000:00:02.0/0000:02:00.0/loop": "-> ../0000:02:00.0/loop",
    "class/infiniband/mlx5_0": "-> ../../devices/pci0000:00/0000:00:02.0/0000:02:00.0/infiniband/mlx5_0",
    "devices/pci0000:00/0000:00:02.0/0000:02:00.0/infiniband/mlx5_0/ports/1/state": "4: ACTIVE\n",
    "devices/system/node/node0/cpulist": "0-7\n",
}


def text_archive() -> bytes:
    files = (
        f"Path: sys/{path}\nSymlinkTo: {content[3:]}\n"
        if content.startswith("-> ")
        else f"Path: sys/{path}\nLines: 1\n{content}Mode: 644\n"
        for path, content in _SYSFS.items()
    )
    return ("# Archive created by ttar\n" + "# ttar - - - -\n".join(files)).encode()


def table() -> bytes:
    rows = "".join(
        f"|   {index}  Invented GPU        Off  |   00000000:{index + 1:02X}:00.0 Off |                    0 |\n"
        "| N/A   28C    P0    78W / 700W |      55MiB / 81559MiB  |      0%      Default |\n"
        "|                               |                        |             Disabled |\n"
        "+-------------------------------+------------------------+----------------------+\n"
        for index in range(2)
    )
    return f"+----+\n| NVIDIA-SMI 580.1    Driver Version: 580.1    CUDA Version: 13.0 |\n|====|\n{rows}".encode()


def session() -> bytes:
    """A bug report: several outputs of nvidia-smi, with what a shell prints between them."""
    cells, labels, tails = switched(2, 1)
    prompt = b"$ nvidia-smi\n"
    return prompt.join((query(), matrix(cells, labels, tails).encode(), nvlink()))


SAMPLES: Final[dict[str, Callable[[], bytes]]] = {
    "topo": topo,
    "topo-spaces": topo_spaces,
    "nccl": nccl,
    "hwloc": hwloc,
    "query-xml": query_xml,
    "query": query,
    "nvlink": nvlink,
    "ibstat": ibstat,
    "ibstatus": ibstatus,
    "lspci": lspci,
    "archive": archive,
    "text-archive": text_archive,
    "table": table,
    "session": session,
} | TOOLS
