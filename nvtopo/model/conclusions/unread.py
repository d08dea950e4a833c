"""Which sources gave no answer in time, or may not be read. Their facts are unknown: not in the node, and not gone."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nvtopo.model.records.node import NodeTopology

HANGS: Final = "no answer in time"
"""How the reason of the problem of a source or device that hangs begins."""
SOURCE_HANGS: Final = f"{HANGS}: the source hangs"
"""The reason of the problem of a whole source, whose subject is the source itself."""

OF_DEVICES: Final = frozenset(("pci", "net", "rdma"))
"""The sources that say which GPUs and NICs there are, where they are, and how they are."""

_NVML: Final = "nvml"
#: Source → the folder that lists its devices.
_LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {"pci": "/sys/bus/pci/devices", "net": "/sys/class/net", "rdma": "/sys/class/infiniband"}
)
#: Source → the files without which it is not known that a device is there, or what it is. Compiled by the first use.
_IDENTITIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "pci": rf"{_LISTS['pci']}(/[^/]+/(class|vendor|physfn))?",
        "net": rf"{_LISTS['net']}(/[^/]+/ifindex)?",
        "rdma": rf"{_LISTS['rdma']}(/[^/]+(/ports)?)?",
    }
)


def sources(node: NodeTopology) -> frozenset[str]:
    """The sources of which nothing could be read. NVML has problems and a verdict of its own."""
    return frozenset(
        problem.source
        for problem in node.problems
        if (problem.subject == problem.source != _NVML and problem.reason.startswith(HANGS))
        or problem.subject == _LISTS.get(problem.source)
    )


def touched(node: NodeTopology) -> frozenset[str]:
    """The sources of which a device or all of it could not be read in time, or may not be."""
    hanging = {
        problem.source for problem in node.problems if problem.source != _NVML and problem.reason.startswith(HANGS)
    }
    return unidentified(node) | hanging


def unidentified(node: NodeTopology) -> frozenset[str]:
    """The sources that may not say which devices there are, or what one of them is."""
    return frozenset(problem.source for problem in node.problems if hides_a_device(problem.source, problem.subject))


def hides_a_device(source: str, subject: str) -> bool:
    """Whether a problem with that file leaves it open that there is a device, or what it is."""
    pattern = _IDENTITIES.get(source)
    return pattern is not None and re.fullmatch(pattern, subject) is not None
