"""What a node, a GPU or a NIC may be, and the one table of what each reason means."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

Level = Literal["ok", "unknown", "registering", "degraded", "fault", "stale"]

WORST_LAST: Final[tuple[Level, ...]] = ("ok", "unknown", "registering", "degraded", "fault", "stale")
ILL: Final[frozenset[Level]] = frozenset(("degraded", "fault"))
#: Of a GPU that a job can use. One that is not known, or not heard of any more, is none.
USABLE: Final[frozenset[Level]] = frozenset(("ok", "degraded"))

#: Source of problems that are known by comparing hosts of one input.
SIBLINGS: Final = "sibling hosts"

Code = Literal[
    "no-gpu",
    "no-gpu-answers",
    "not-shown",
    "no-gpu-read",
    "gpus-withheld",
    "accelerators-not-read",
    "modules-missing",
    "gpus-missing",
    "driver-problem",
    "gpu-problem",
    "gpu-recovery",
    "gpu-memory-repair",
    "pair-problem",
    "fabric-registering",
    "fabric-in-progress",
    "fabric-error",
    "fabric-unhealthy",
    "fabric-limited-capacity",
    "fabric-unknown",
    "fabric-mixed",
    "fabric-not-supported",
    "domains-differ",
    "nvlinks-training",
    "nvlinks-hidden",
    "nvlinks-unknown",
    "nvlinks-missing",
    "nvlinks-down",
    "nvlinks-unbridged",
    "nvlink-ends-unknown",
    "nvlink-p2p-refused",
    "nvlink-p2p-unknown",
    "ports-down",
    "rails-down",
    "rails-unknown",
    "rail-without-ports",
    "pcie-below-best",
    "nics-missing",
    "rails-missing",
    "mtu-differs",
    "rdma-mtu-differs",
    "gid-index-differs",
    "pcie-below-expected",
    "version-differs",
    "facts-unread",
    "side-facts-unread",
]


class Reason(NamedTuple):
    """Why something is not ``ok``."""

    code: Code
    gpu: int | None = None
    """The index of the GPU that it is about; None where it is a NIC or the node as a whole."""
    nic: str | None = None
    values: tuple[int | str, ...] = ()
    """``nvlinks-*``: links that are usable or not known, and links due. ``*-problem``: its subject and reason.
    ``ports-down``: their numbers, then how many ports the NIC has. ``rails-down``, ``rails-unknown``: how many rails.
    ``rail-without-ports``: what it lacks, ``driver``, ``device`` or ``rdma``.
    ``gpus-withheld``, ``accelerators-not-read``: how many, and whose. ``modules-missing``: their numbers.
    ``nvlink-p2p-*``: the indices of the other GPUs. ``fabric-unknown``: ``state`` or ``health``.
    ``nics-missing``, ``rails-missing``, ``*-differs``, ``pcie-below-*``: what is, then what should be."""


class Kind(NamedTuple):
    """What a code means."""

    level: Level
    """Of the GPU, the NIC or the node that it is about."""
    ready: bool | None
    """What a node is that has it. True: it does not stand in a job's way, and the node's level is not worse for it."""
    nvlink: bool = False
    """Whether it is about the NVLinks of a GPU or their fabric."""


KINDS: Final[Mapping[Code, Kind]] = MappingProxyType(
    {
        "no-gpu": Kind("unknown", None),
        "no-gpu-answers": Kind("fault", ready=False),
        "not-shown": Kind("unknown", None),
        "no-gpu-read": Kind("unknown", None),
        "gpus-withheld": Kind("unknown", ready=True),
        "accelerators-not-read": Kind("unknown", ready=True),
        "modules-missing": Kind("degraded", ready=False),
        "gpus-missing": Kind("fault", ready=False),
        "driver-problem": Kind("fault", ready=False),
        "gpu-problem": Kind("fault", ready=False),
        "gpu-recovery": Kind("fault", ready=False),
        "gpu-memory-repair": Kind("fault", ready=False),
        "pair-problem": Kind("degraded", ready=False),
        "fabric-registering": Kind("registering", ready=False, nvlink=True),
        "fabric-in-progress": Kind("degraded", ready=False, nvlink=True),
        "fabric-error": Kind("fault", ready=False, nvlink=True),
        "fabric-unhealthy": Kind("fault", ready=False, nvlink=True),
        "fabric-limited-capacity": Kind("degraded", ready=False, nvlink=True),
        "fabric-unknown": Kind("unknown", None, nvlink=True),
        "fabric-mixed": Kind("degraded", ready=False, nvlink=True),
        "fabric-not-supported": Kind("fault", ready=False, nvlink=True),
        "domains-differ": Kind("degraded", ready=False, nvlink=True),
        "nvlinks-training": Kind("registering", None, nvlink=True),
        "nvlinks-hidden": Kind("unknown", None, nvlink=True),
        "nvlinks-unknown": Kind("unknown", None, nvlink=True),
        "nvlinks-missing": Kind("degraded", ready=False, nvlink=True),
        "nvlinks-down": Kind("fault", ready=False, nvlink=True),
        "nvlinks-unbridged": Kind("ok", ready=True, nvlink=True),
        "nvlink-ends-unknown": Kind("unknown", None, nvlink=True),
        "nvlink-p2p-refused": Kind("fault", ready=False, nvlink=True),
        "nvlink-p2p-unknown": Kind("unknown", None, nvlink=True),
        "ports-down": Kind("fault", ready=True),
        "rails-down": Kind("fault", ready=False),
        "rails-unknown": Kind("unknown", None),
        "rail-without-ports": Kind("fault", ready=True),
        "pcie-below-best": Kind("degraded", ready=True),
        "nics-missing": Kind("degraded", ready=True),
        "rails-missing": Kind("fault", ready=False),
        "mtu-differs": Kind("degraded", ready=True),
        "rdma-mtu-differs": Kind("degraded", ready=True),
        "gid-index-differs": Kind("degraded", ready=False),
        "pcie-below-expected": Kind("degraded", ready=True),
        "version-differs": Kind("degraded", ready=True),
        "facts-unread": Kind("unknown", None),
        "side-facts-unread": Kind("unknown", ready=True),
    }
)
