"""Which sources gave no answer in time. Their facts are unknown: not in the node, and not gone from the machine."""

from typing import Final

from nvtopo.model.records.node import NodeTopology

HANGS: Final = "no answer in time"
"""How the reason of the problem of a source or device that hangs begins."""
SOURCE_HANGS: Final = f"{HANGS}: the source hangs"
"""The reason of the problem of a whole source, whose subject is the source itself."""

OF_DEVICES: Final = frozenset(("pci", "net", "rdma"))
"""The sources that say which GPUs and NICs there are, where they are, and how they are."""

_NVML: Final = "nvml"


def sources(node: NodeTopology) -> frozenset[str]:
    """The sources of which nothing could be read in time. NVML has problems and a verdict of its own."""
    return frozenset(
        problem.source
        for problem in node.problems
        if problem.subject == problem.source != _NVML and problem.reason.startswith(HANGS)
    )


def touched(node: NodeTopology) -> frozenset[str]:
    """The sources of which something, a device or all of it, could not be read in time."""
    return frozenset(
        problem.source for problem in node.problems if problem.source != _NVML and problem.reason.startswith(HANGS)
    )
