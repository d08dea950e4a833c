"""NVML's events, and the meanings of XIDs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from nvtopo.model.records.record import Count, Name, Record

Kind = Literal[
    "xid",
    "double-bit-ecc",
    "single-bit-ecc-storm",
    "dram-retirement",
    "dram-retirement-failure",
    "poison",
    "fatal-poison",
    "gpu-unavailable",
    "recovery-action",
    "gpu-lost",
]
"""The nvmlEventType… that report a change of a GPU; ``gpu-lost`` is an error of the wait itself."""


class NvmlEvent(Record, frozen=True, kw_only=True):
    """One event."""

    kind: Kind
    gpu: Count | None = None
    """The GPU's index; absent if NVML does not name the GPU."""
    uuid: Name = ""
    xid: Count | None = None


#: NVIDIA's catalogue (docs.nvidia.com/deploy/xid-errors), as far as data-centre GPUs report it.
XIDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        8: "GPU stopped processing",
        13: "graphics engine exception",
        31: "GPU memory page fault",
        32: "invalid or corrupted push buffer stream",
        38: "driver firmware error",
        43: "GPU stopped processing",
        44: "graphics engine fault during context switch",
        45: "preemptive cleanup, due to previous errors",
        46: "GPU stopped processing",
        48: "double-bit ECC error",
        61: "internal microcontroller breakpoint or warning",
        62: "internal microcontroller halt",
        63: "ECC page retirement or row remapping recorded",
        64: "ECC page retirement or row remapping failed",
        68: "video decoder exception",
        69: "graphics engine class error",
        74: "NVLink error",
        79: "GPU has fallen off the bus",
        92: "high single-bit ECC error rate",
        94: "contained memory error",
        95: "uncontained memory error",
        109: "context switch timeout",
        110: "security fault",
        119: "GSP RPC timeout",
        120: "GSP error",
        121: "C2C link corrected error",
        137: "NVLink FLA privilege error",
        140: "unrecovered ECC error",
        143: "GPU initialization error",
        144: "NVLink SAW error",
        145: "NVLink RLW error",
        146: "NVLink TLW error",
        147: "NVLink TREX error",
        148: "NVLink NVLPW_CTRL error",
        149: "NVLink NETIR error",
        150: "NVLink MSE error",
        151: "key rotation error",
        154: "GPU recovery action changed",
        155: "NVLink software defined error",
        156: "resource retirement",
        157: "resource retirement failed",
        158: "GPU fatal timeout",
        160: "channel retirement",
        161: "channel retirement failed",
        167: "PCIe fatal timeout",
        171: "uncorrectable DRAM error, details of XID 48",
        172: "uncorrectable SRAM error, details of XID 48",
    }
)
#: XIDs that applications cause; NVIDIA's device plugin ignores them too.
OF_APPLICATIONS: Final = frozenset({13, 31, 43, 45, 68, 109})


def label(xid: int) -> str:
    """The XID as a label value: its number if the catalogue has it, else ``other``, to bound the number of series."""
    return str(xid) if xid in XIDS else "other"
