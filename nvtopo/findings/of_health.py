"""The reasons of a node's health as findings: one check for each code of the one table, and no judgement of its own.

A reason for which a node is not ready is critical, one that leaves readiness unknown is no finding but something that
can't be known, and every other is at most a warning. So ``doctor`` and the label ``ready`` can't contradict each other.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.findings.finding import Check, Finding, FindingDomain, Severity
from nvtopo.model.conclusions import health_words
from nvtopo.model.conclusions.health_kinds import ILL, KINDS, Code, Reason

_FABRIC: Final = "Look at the fabric manager (on a rack: nvlsm, and IMEX), then at `nvidia-smi -q -d FABRIC`."
_LINKS: Final = "Look at `nvidia-smi nvlink -s` and at XIDs in the kernel's log; drain the node before a reset."
_BUS: Final = "Compare `lspci -d 10de:` with a healthy machine, look for XID 79 in the kernel's log, then power-cycle."
_RESET: Final = "Drain the node, then reset the GPU or reboot, as the driver says."
_SHAPE: Final = "Mend the machine, or correct what is expected of its shape."
_PORT: Final = "Look at `ibstat` or `rdma link`, at the cable, then at the switch's port."
_DRIVER: Final = "Look for the NIC in the kernel's log, load its drivers (mlx5_core and mlx5_ib), then power-cycle."
_WAIT: Final = "Wait until the grace after boot is over, then ask again."
_ASK: Final = "Ask on the machine itself, or give a capture made by `nvtopo capture` there."
_DEVICE: Final = (
    "Look for a device that hangs in the kernel's log; where access is denied, run doctor on the host as root."
)


class _Line(NamedTuple):
    """What a code's check says, beside what the table of health says of it."""

    domain: FindingDomain
    expected: str
    """``{0}`` is the first value of the reason."""
    remedy: str
    reads: str
    """Where the fact comes from: file or call."""


_NVLINK: Final = "NVML fields 91, 164 to 166"
_FABRIC_INFO: Final = "nvmlDeviceGetGpuFabricInfoV"
_NVML: Final = "every NVML call of a reading"
_PCI: Final = "/sys/bus/pci/devices"
_RDMA: Final = "/sys/class/infiniband"
_PCIE_LINK: Final = "/sys/bus/pci/devices/*/{current,max}_link_{speed,width}"

_LINES: Final[Mapping[Code, _Line]] = MappingProxyType(
    {
        "no-gpu": _Line("host", "a GPU", "Nothing is to be done if this node is meant to have none.", _PCI),
        "no-gpu-answers": _Line("runtime", "every GPU answers", "Look at `nvidia-smi` and the kernel's log.", _NVML),
        "not-shown": _Line("host", "an input that shows the whole node", _ASK, "the input"),
        "no-gpu-read": _Line("host", "GPUs of NVIDIA", "Use the vendor's own tool for these GPUs.", _PCI),
        "gpus-withheld": _Line(
            "host", "every GPU is this host's own", "Nothing is to be done if guests are meant to have them.", _PCI
        ),
        "accelerators-not-read": _Line(
            "host", "GPUs of NVIDIA", "Use the vendor's own tool for these accelerators.", _PCI
        ),
        "modules-missing": _Line("pcie", "a GPU in each module of the board", _BUS, "nvmlDeviceGetModuleId"),
        "gpus-missing": _Line("pcie", "{1} GPUs", _BUS, _PCI),
        "driver-problem": _Line(
            "runtime", "the driver answers for every GPU", "See docs/operations.md for what the message means.", _NVML
        ),
        "gpu-problem": _Line(
            "runtime", "the driver answers all that is asked of a GPU", "See docs/operations.md, then reset it.", _NVML
        ),
        "gpu-recovery": _Line("host", "no recovery action", _RESET, "NVML field 230"),
        "gpu-memory-repair": _Line(
            "host", "no repair of memory that is pending or failed", _RESET, "NVML fields 31, 144, 145"
        ),
        "pair-problem": _Line("runtime", "the driver answers for every pair", "See docs/operations.md.", _NVML),
        "fabric-registering": _Line("gpu-fabric", "a completed registration", _FABRIC, _FABRIC_INFO),
        "fabric-in-progress": _Line("gpu-fabric", "a completed registration", _FABRIC, _FABRIC_INFO),
        "fabric-error": _Line("gpu-fabric", "a registration without an error", _FABRIC, _FABRIC_INFO),
        "fabric-unhealthy": _Line("gpu-fabric", "a healthy fabric", _FABRIC, _FABRIC_INFO),
        "fabric-limited-capacity": _Line("gpu-fabric", "a fabric with all its capacity", _FABRIC, _FABRIC_INFO),
        "fabric-unknown": _Line("gpu-fabric", "a fabric whose state is known", _FABRIC, _FABRIC_INFO),
        "fabric-mixed": _Line("gpu-fabric", "one state of all GPUs", _FABRIC, _FABRIC_INFO),
        "fabric-not-supported": _Line("gpu-fabric", "a fabric behind links to switches", _FABRIC, _FABRIC_INFO),
        "domains-differ": _Line("gpu-fabric", "one NVLink domain for all GPUs", _FABRIC, _FABRIC_INFO),
        "nvlinks-training": _Line("gpu-fabric", "links that have trained", _WAIT, _NVLINK),
        "nvlinks-hidden": _Line("gpu-fabric", "an input that shows NVLinks", _ASK, _NVLINK),
        "nvlinks-unknown": _Line("gpu-fabric", "a state of every NVLink", _LINKS, _NVLINK),
        "nvlinks-missing": _Line("gpu-fabric", "all NVLinks that its siblings use", _LINKS, _NVLINK),
        "nvlinks-down": _Line("gpu-fabric", "all NVLinks that its siblings use", _LINKS, _NVLINK),
        "nvlinks-unbridged": _Line(
            "gpu-fabric", "a bridge, if it ever had one", "Look whether a bridge is fitted on the card.", _NVLINK
        ),
        "nvlink-ends-unknown": _Line(
            "gpu-fabric", "the other end of every link", _LINKS, "nvmlDeviceGetNvLinkRemoteDeviceType"
        ),
        "nvlink-p2p-refused": _Line(
            "gpu-fabric", "peer access over links that are up", _FABRIC, "nvmlDeviceGetP2PStatus"
        ),
        "nvlink-p2p-unknown": _Line("gpu-fabric", "an answer about peer access", _LINKS, "nvmlDeviceGetP2PStatus"),
        "ports-down": _Line(
            "network-fabric", "an active port, as its siblings have", _PORT, f"{_RDMA}/*/ports/*/state"
        ),
        "rails-down": _Line("network-fabric", "rails with active ports", _PORT, f"{_RDMA}/*/ports/*/state"),
        "rails-unknown": _Line("network-fabric", "rails with active ports", _PORT, f"{_RDMA}/*/ports/*/state"),
        "rail-without-ports": _Line("network-fabric", "a driver and an RDMA device for each rail", _DRIVER, _PCI),
        "pcie-below-best": _Line(
            "pcie",
            "the generation and width that both ends support",
            "Reseat the card, its riser or its cable, then look at `lspci -vv` (LnkSta).",
            f"nvmlDeviceGetCurrPcieLinkWidth, {_PCIE_LINK}",
        ),
        "nics-missing": _Line("network-fabric", "{1} NICs", _SHAPE, _PCI),
        "rails-missing": _Line("network-fabric", "{1} rails", _SHAPE, _PCI),
        "mtu-differs": _Line("network-fabric", "an MTU of {1} bytes", _SHAPE, "/sys/class/net/*/mtu"),
        "rdma-mtu-differs": _Line("network-fabric", "an active MTU of {1} bytes", _SHAPE, "ibv_query_port"),
        "gid-index-differs": _Line("network-fabric", "GID index {1}", _SHAPE, f"{_RDMA}/*/ports/*/gids"),
        "pcie-below-expected": _Line("pcie", "a PCIe link of {1}", _SHAPE, _PCIE_LINK),
        "version-differs": _Line("runtime", "{0} {2}", _SHAPE, "NVML and /proc/sys/kernel/osrelease"),
        "facts-unread": _Line("host", "devices that answer", _DEVICE, "the source that hangs, or that may not be read"),
        "side-facts-unread": _Line("host", "sources that answer", _DEVICE, "the source that hangs"),
    }
)
#: Levels of readiness say nothing of these: what they are about is not known, and nobody needs it to run a job.
_SIDE: Final[frozenset[Code]] = frozenset(("side-facts-unread",))
#: What only an expectation decides: a policy's, or that of the siblings.
_EXPECTED: Final[frozenset[Code]] = frozenset(
    (
        "gpus-missing",
        "nics-missing",
        "rails-missing",
        "mtu-differs",
        "rdma-mtu-differs",
        "gid-index-differs",
        "pcie-below-expected",
        "version-differs",
    )
)


def needs_expectation(code: Code) -> bool:
    """Whether nothing can be said of it of a machine of which nothing is expected."""
    return code in _EXPECTED


def codes() -> tuple[Code, ...]:
    """Every code, in the order of the table of health."""
    return tuple(KINDS)


def severity(code: Code) -> Severity | None:
    """How bad a reason is; None if it is something that can't be known."""
    kind = KINDS[code]
    if kind.ready is None or code in _SIDE:
        return None
    if kind.ready is False:
        return "critical"
    return "warning" if kind.level in ILL else "info"


def is_decisive(code: Code) -> bool:
    """Whether it can't be said if a node that has this reason is ready."""
    return KINDS[code].ready is None


def check(code: Code) -> Check:
    """The check of a code; its id is the code."""
    line = _LINES[code]
    return Check(code, severity(code) or "info", line.domain, line.expected, line.remedy)


def reads(code: Code) -> str:
    """Where the fact comes from that the code judges: file or call."""
    return _LINES[code].reads


def finding(reason: Reason) -> Finding:
    """A reason that is known, as a finding."""
    made = check(reason.code)
    said = made._replace(expected=made.expected.format(*reason.values)) if reason.values else made
    return said.finding(health_words.subject(reason), health_words.sentence(reason))
