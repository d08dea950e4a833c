"""What is concluded of all NVLinks of a node, once, for the health of its GPUs."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from nvtopo.model.conclusions import fabric, nvlink
from nvtopo.model.records.node import NodeTopology

#: With such a verdict a GPU has no peer access over its fabric, and that is its own reason.
NO_PEER_ACCESS: Final[frozenset[fabric.Verdict]] = frozenset(("Error", "Registering"))


class NvLinks(NamedTuple):
    """Of every GPU, by index."""

    short: tuple[int, ...]
    """GPUs that lack links."""
    due: Mapping[int, int]
    """How many each should have; empty for PCIe cards."""
    cards: bool
    """Whether they are PCIe cards."""
    fabric: Mapping[int, fabric.Verdict]
    access: Mapping[tuple[int, int], bool | None]
    """Pairs that links join → peer access."""

    def peers(self, index: int, *, allowed: bool | None) -> tuple[int, ...]:
        """The GPUs to which this one has that peer access, and whose fabric is not the reason (gb200-mixed-fabric)."""
        pairs = (pair for pair, access in self.access.items() if access is allowed and index in pair)
        others = (a if b == index else b for a, b in pairs)
        return tuple(sorted(other for other in others if self.fabric[other] not in NO_PEER_ACCESS))


def of(node: NodeTopology) -> NvLinks:
    """Everything that ``NvLinks`` has."""
    return NvLinks(
        nvlink.degraded(node),
        nvlink.expected(node),
        nvlink.are_cards(node),
        fabric.verdicts(node),
        nvlink.pair_access(node),
    )
