"""Every label: what its value is, an example, and when it is absent. docs/labels.md shows this table.

``nvtopo why`` reads it too: who misses a label is told when it is absent.
"""

import re
from typing import Final, NamedTuple


class LabelRow(NamedTuple):
    """One row of the table of labels."""

    name: str
    value: str
    """What its value says, in Markdown."""
    example: str
    absent: str
    """In Markdown: follows "absent when"."""


_GROUP: Final = re.compile(r"\.G[0-9]+$")

LABELS: Final = (
    LabelRow(
        "nvtopo.io/gpu.count",
        "integer: GPUs that answer",
        "8",
        "the driver should answer and does not; only accelerators of other vendors are there",
    ),
    LabelRow(
        "nvtopo.io/ready",
        "`true` or `false`: every GPU that should be there answers and needs no reset or memory repair, "
        "NVLinks are up and usable between GPUs, the fabric gives all it has, some rail has an active "
        "port",
        "true",
        "there is neither a GPU nor a driver; links train; the state of links, of the fabric or of every rail's ports "
        "is not known; the input does not show NVLink",
    ),
    LabelRow(
        "nvtopo.io/mig",
        "`true` if any GPU is in MIG mode",
        "false",
        "no GPU supports MIG",
    ),
    LabelRow(
        "nvtopo.io/pcie.generation",
        "integer: the highest PCIe generation that every GPU supports",
        "5",
        "a GPU does not report it",
    ),
    LabelRow(
        "nvtopo.io/numa.gpu-aligned",
        "`true` if every GPU has a NIC on its own NUMA node",
        "true",
        "the NUMA node of a GPU or NIC is not known",
    ),
    LabelRow(
        "nvtopo.io/nvlink.version",
        "version of the oldest link: `4.0`; not for `Gt`",
        "4.0",
        "there is no NVLink, or the version of one that is up is not known",
    ),
    LabelRow(
        "nvtopo.io/nvlink.generation",
        "integer: that version without its fraction",
        "4",
        "there is no NVLink, the version of one that is up is not known, or it is a word",
    ),
    LabelRow(
        "nvtopo.io/nvlink.links-per-gpu",
        "integer: the NVLinks of the GPU with the most, up or not",
        "18",
        "there is no NVLink, or the driver gave an error for those of a GPU",
    ),
    LabelRow(
        "nvtopo.io/nvlink.groups",
        "integer: groups of GPUs connected by usable NVLink; `0` means none",
        "1",
        "it can't be known: MIG, no driver, links train, or the driver gave an error for links, their "
        "ends or peer access",
    ),
    LabelRow(
        "nvtopo.io/nvlink.group-size",
        "integer: GPUs of the smallest group",
        "8",
        "there is no group",
    ),
    LabelRow(
        "nvtopo.io/nvlink.full-mesh",
        "`true` if in each group every pair has a path",
        "true",
        "there is no group",
    ),
    LabelRow(
        "nvtopo.io/nvlink.degraded",
        "`true` if a GPU lacks links, the driver refuses peer access over them, or its fabric has an "
        "error, is unhealthy or limits its capacity",
        "false",
        "it can't be known, the fabric is still registering or its state or health is not known, or a PCIe card has "
        "no link up and the agent never saw one up",
    ),
    LabelRow(
        "nvtopo.io/nvlink.domain",
        "`<clusterUUID>.<cliqueID>`: the rack-scale domain",
        "7c4f8bcf-6191-40e0-89b2-fd2dafe378e4.2",
        "the GPUs are in none, or not all in one",
    ),
    LabelRow(
        "nvtopo.io/nvlink.fabric",
        "`SingleNode`, `Attached`, `Registering`, `Error`, `Unhealthy` or `Mixed`",
        "Attached",
        "there is no fabric to register with; the state of a GPU's fabric is not known, and the others agree",
    ),
    LabelRow(
        "gpu.nvlink.group",
        "`G0`: all NVLink of the node is in one group",
        "G0",
        "there is no group, or there are several",
    ),
    LabelRow(
        "gpu.nvlink.group.G<n>",
        "the members of group n: `GPU0_GPU2`, `GPU4-GPU7`",
        "GPU0-GPU3",
        "there is at most one group, or more than 32; this one does not fit in 63 characters",
    ),
    LabelRow(
        "nvtopo.io/nic.count",
        "integer: NICs on PCI, with a driver or without, virtual functions not counted",
        "10",
        "devices could not be read; the input does not show all NICs",
    ),
    LabelRow(
        "nvtopo.io/nic.gpu-locality",
        "`PIX`, `PXB`, `PHB`, `NODE` or `SYS`: each GPU has a NIC at this level or nearer",
        "PIX",
        "there is no GPU or no NIC, or it is not known",
    ),
    LabelRow(
        "nvtopo.io/rdma.rails",
        "integer: NICs for traffic between GPUs, up or not, with a driver or without",
        "8",
        "there is none",
    ),
    LabelRow(
        "nvtopo.io/rdma.gdr",
        "`dma-buf`, `peermem` or `none`: how a NIC could reach GPU memory",
        "dma-buf",
        "no driver, or no RDMA",
    ),
    LabelRow(
        "nvtopo.io/rdma.link-layer",
        "`InfiniBand` or `Ethernet`",
        "InfiniBand",
        "the rails' NICs differ",
    ),
    LabelRow(
        "nvtopo.io/rdma.mtu",
        "integer: active RDMA MTU in bytes",
        "4096",
        "the rails' NICs differ, or it is not known",
    ),
    LabelRow(
        "nvtopo.io/rdma.netdev-mtu",
        "integer: MTU in bytes of the rails' network devices, with Ethernet rails",
        "9000",
        "the rails' NICs differ, are no Ethernet, or it is not known",
    ),
    LabelRow(
        "nvtopo.io/rdma.rate-gbps",
        "integer: the rate of each rail's ports in Gb/s",
        "400",
        "the rails' ports differ, or one is not known",
    ),
    LabelRow(
        "nvtopo.io/rdma.gid-index",
        "integer: the GID index that NCCL chooses by default",
        "3",
        "the rails' NICs differ",
    ),
    LabelRow(
        "nvtopo.io/kubelet.cpu-manager-policy",
        "`none` or `static`: the policy in force",
        "static",
        "the kubelet's checkpoint, process or files can't be read, or do not agree",
    ),
    LabelRow(
        "nvtopo.io/kubelet.topology-manager-policy",
        "`none`, `best-effort`, `restricted` or `single-numa-node`: the policy in force",
        "single-numa-node",
        "the kubelet's checkpoint, process or files can't be read, or do not agree",
    ),
)

_WITHOUT_OPTION: Final = "the agent runs without `--product-labels`"
#: Those of ``--product-labels``.
PRODUCT_LABELS: Final = tuple(
    LabelRow(f"nvtopo.io/{name}", value, example, f"{_WITHOUT_OPTION}; {absent}")
    for name, value, example, absent in (
        ("cuda.major", "integer: of the newest CUDA that the driver supports", "12", "no driver answers"),
        ("cuda.minor", "integer: of the same", "8", "no driver answers"),
        ("driver.major", "integer: the branch of the NVIDIA driver", "570", "no driver answers"),
        ("driver.version", "the driver's version", "570.86.15", "no driver answers"),
        ("gpu.compute.major", "integer: of the GPUs' compute capability", "9", "the GPUs differ, or one does not say"),
        ("gpu.compute.minor", "integer: of the same", "0", "the GPUs differ, or one does not say"),
        ("gpu.memory-mib", "integer: memory of each GPU in MiB", "81559", "the GPUs differ, or one does not say"),
        (
            "gpu.product",
            "the driver's name of the GPUs, with `-` for spaces",
            "NVIDIA-H100-80GB-HBM3",
            "the GPUs differ, or one does not say",
        ),
    )
)

_ROWS: Final = {row.name: row for row in (*LABELS, *PRODUCT_LABELS)}


def row_of(label: str) -> LabelRow | None:
    """The row of a label, as ``features`` names it; None if no node has a label of that name."""
    return _ROWS.get(_GROUP.sub(".G<n>", label))


def table(labels: tuple[LabelRow, ...] = LABELS) -> str:
    """The table in Markdown."""
    rows = (f"| `{row.name}` | {row.value} | `{row.example}` | {row.absent} |\n" for row in labels)
    return "| label | value | example | absent when |\n|---|---|---|---|\n" + "".join(rows)
