"""The order in which people count devices: NIC 10 after NIC 9, RDMA devices first."""

import re
from typing import Final

from nvtopo.model.records.node import Nic, NodeTopology

_DIGITS: Final = re.compile("([0-9]+)")
#: Python refuses to read longer numbers, and a name from elsewhere may have one.
_MOST_DIGITS: Final = 4000


def natural(text: str) -> list[tuple[str, int]]:
    """A sort key: ``mlx5_2`` before ``mlx5_10``."""
    return [("", int(part[:_MOST_DIGITS])) if part.isdecimal() else (part, 0) for part in _DIGITS.split(text)]


def nics_in_order(node: NodeTopology) -> tuple[Nic, ...]:
    """RDMA devices first, then other NICs; each by name in natural order, as nvidia-smi numbers them."""
    return tuple(sorted(node.nics, key=lambda nic: (not nic.ports, natural(nic.name), nic.pci_address or "")))
