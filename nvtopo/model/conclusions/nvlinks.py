"""What is concluded of all NVLinks of a node, once, for the health of its GPUs."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

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
    barred: Mapping[tuple[int, int], bool | None]
    """Pairs that links join and whose peer access is refused (False) or not known."""

    def peers(self, index: int, *, allowed: Literal[False] | None) -> tuple[int, ...]:
        """The GPUs to which peer access is refused, or not known, and whose fabric is not why (gb200-mixed-fabric)."""
        pairs = (pair for pair, access in self.barred.items() if access is allowed and index in pair)
        others = (a if b == index else b for a, b in pairs)
        return tuple(sorted(other for other in others if self.fabric[other] not in NO_PEER_ACCESS))


def of(node: NodeTopology) -> NvLinks:
    """Everything that ``NvLinks`` has."""
    due = nvlink.expected(node)
    return NvLinks(
        nvlink.degraded(node, due),
        due,
        nvlink.are_cards(node),
        fabric.verdicts(node),
        {pair: access for pair, access in nvlink.pair_access(node).items() if not access},
    )
