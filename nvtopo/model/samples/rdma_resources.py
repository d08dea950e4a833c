"""What RDMA programs hold of one device, as the kernel counts it."""

from collections.abc import Mapping
from typing import NamedTuple


class DeviceResources(NamedTuple):
    """One device at one moment."""

    name: str
    resources: Mapping[str, int]
    """The kernel's name for a kind (``qp``, ``cq``, ``mr``, …) → how many are in use."""
    queue_pairs: Mapping[tuple[str, str], int] | None = None
    """(type, state) → how many; None where they were not asked for, or are too many to ask."""
    bound: Mapping[tuple[int, str, str], int] | None = None
    """(port, queue pairs' type, ``hw_counters`` file) → sum over the counters bound to queue pairs; None as above."""
