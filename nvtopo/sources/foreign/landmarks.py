"""Lines that only one tool prints, and where they begin: what stands before them is no part of the output."""

import re
from typing import Final, NamedTuple

_LEVEL: Final = r"(?:X|NV[0-9]{1,2}|SYS|NODE|PHB|PXB|PIX|SOC|OK|CNS|GNS|TNS|NS)"
_FUNCTION: Final = re.compile(r"(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] [A-Z0-9]")
_NETDEV: Final = re.compile(
    r"(?:[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] )?[A-Za-z0-9_.-]{1,64} (?:\([^)]{1,80}\)[^=]{1,120}? )?"
    r"port [0-9]{1,3} (?:\([A-Z ]{1,20}\) )?==> "
)
_NCCL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}:[0-9]{1,8}:[0-9]{1,8} \[[0-9]{1,4}\] NCCL INFO ")
_MATRIX: Final = re.compile(rf"(?:GPU|NIC|NVMe|mlx)[0-9][A-Za-z0-9_.-]{{0,30}}\s{{1,20}}{_LEVEL}(?=\s|$)")
#: Which literal a line must hold → what it begins with then, and what kind of output that shows. The search begins
#: at the literal, less what may stand before it.
_KINDS: Final[tuple[tuple[str, str, re.Pattern[str]], ...]] = (
    ("matrix", "GPU", _MATRIX),
    ("matrix", "NIC", _MATRIX),
    ("matrix", "mlx", _MATRIX),
    ("query", "NVSMI", re.compile(r"={6,40}NVSMI LOG={6,40}")),
    ("query", "GPU 0", re.compile(r"GPU [0-9A-Fa-f]{8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]\s*$")),
    ("nvlink", "(UUID", re.compile(r"GPU [0-9]{1,4}: .{1,200}?\(UUID: ")),
    ("table", "| NVIDIA-SMI", re.compile(r"\| NVIDIA-SMI ")),
    ("table", "+-----", re.compile(r"\+-{20,120}\+")),
    ("ibstat", "CA '", re.compile(r"CA '[A-Za-z0-9_.-]{1,64}'")),
    ("ibstatus", "device '", re.compile(r"Infiniband device '")),
    ("ibv_devinfo", "hca_id", re.compile(r"hca_id:\s")),
    ("NCCL XML", "<system", re.compile(r"<system[ >]")),
    ("query XML", "<nvidia_smi_log", re.compile(r"<nvidia_smi_log>")),
    ("hwloc XML", "<topology", re.compile(r"<topology[ >]")),
    ("rdma", "/1 ", re.compile(r"link [A-Za-z0-9_.-]{1,64}/[0-9]{1,3} (?:subnet_prefix|state) ")),
    ("ibdev2netdev", " ==> ", _NETDEV),
    ("fabric", "Fabric", re.compile(r" {4}Fabric\s*$")),
    ("numactl", "cpus:", re.compile(r"node [0-9]{1,4} cpus:")),
    ("show_gids", "PORT", re.compile(r"DEV\s{1,20}PORT\s{1,20}INDEX\s")),
    ("lstopo", "Machine (", re.compile(r"Machine \([0-9]")),
    ("lspci tree", "-[", re.compile(r"(?:-\+-|-| [+\\]-)\[[0-9a-f]{4,8}:[0-9a-f]{2}\]-")),
    ("nccl", "NCCL INFO", _NCCL),
    ("lspci", "controller", _FUNCTION),
    ("lspci", "ridge", _FUNCTION),
)  # fmt: skip
#: `lspci -vvv` of one function has no line with an address and a class but its first.
_LONGEST_PREFIX: Final = 160
_LOOKED_AT: Final = 512


class Landmark(NamedTuple):
    """Where the output begins in a line that shows what it is."""

    kind: str
    start: int


def landmark(line: str) -> Landmark | None:
    """The landmark of a line; None where it has none."""
    for kind, literal, pattern in _KINDS:
        if literal in line:
            match = pattern.search(line[:_LOOKED_AT])
            if match is not None and match.start() <= _LONGEST_PREFIX and _begins_word(line, match.start()):
                return Landmark(kind, match.start())
    return None


def _begins_word(line: str, start: int) -> bool:
    return start == 0 or not (line[start - 1].isalnum() or line[start - 1] in "_-.")
