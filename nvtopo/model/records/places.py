"""Where devices hang and how near they are, as the bus or another tool states it."""

from typing import Literal

from nvtopo.model.records.record import Count, Index, Name, Record

Unseen = Literal["gpus", "nics", "paths", "health"]
"""What another tool's output does not show, or shows in part."""


class PciRoot(Record, frozen=True, kw_only=True):
    """One PCI root bus, which is one host bridge: ``pci0000:15``."""

    root: Name
    """The bus, spelled as in Kubernetes' ``resource.kubernetes.io/pcieRoot``."""
    numa_node: Index | None = None
    """The NUMA node of the functions below it; absent if none states it, or they disagree."""
    functions: Count = 0
    """Number of PCI functions below it, on a machine without a GPU; 0 where they are not counted."""


class StatedLevel(Record, frozen=True, kw_only=True):
    """The level between two devices as another tool states it, without their paths."""

    a: Name
    """A device's key: ``GPU0``, or the name of a NIC or NVMe controller."""
    b: Name
    """The other's key."""
    level: Literal["PIX", "PXB", "PHB", "NODE", "SYS"]
    """The level in nvidia-smi's terms."""
