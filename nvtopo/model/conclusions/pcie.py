"""PCIe links: generations, rates, and whether a link is below what both ends support."""

from collections.abc import Mapping

from msgspec.structs import replace

from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import PciDevice, PcieLink

Functions = Mapping[PciAddress, PciDevice]
"""PCI functions by address, as far as they are known: another tool's output has none."""

#: ``current_link_speed`` in GT/s → generation.
GENERATION_BY_GIGATRANSFERS = {"2.5": 1, "5": 2, "5.0": 2, "8": 3, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}

#: Generation → bytes per second of one lane in one direction, after line coding (128b/130b from generation 3 on,
#: 242/256 FLITs in generation 6; PCI-SIG's figures).
LANE_BYTES_PER_SECOND = {
    1: 250_000_000,
    2: 500_000_000,
    3: 984_615_384,
    4: 1_969_230_769,
    5: 3_938_461_538,
    6: 7_562_500_000,
}


def generation(speed: str) -> int | None:
    """The generation of ``32.0 GT/s PCIe``; None for ``Unknown`` and for what no generation has."""
    return GENERATION_BY_GIGATRANSFERS.get(speed.split(" ", 1)[0])


def own_link_at(address: str, functions: Functions) -> PcieLink | None:
    """The upstream link of the function at an address, with the function's own maxima."""
    function = functions.get(PciAddress(address))
    return function.link if function else None


def link_at(address: str, functions: Functions) -> PcieLink | None:
    """The upstream link of the function at an address, with the maxima that it and the port above both support.

    A maximum is None unless both are known: an x16 card may be in a slot of eight lanes.
    """
    own = own_link_at(address, functions)
    if own is None:
        return None
    above = own_link_at(functions[PciAddress(address)].path.rpartition("/")[2], functions) or PcieLink()
    return replace(
        own,
        max_generation=_least(own.max_generation, above.max_generation),
        max_width=_least(own.max_width, above.max_width),
    )


def narrowed(link: PcieLink | None) -> bool:
    """Whether the link has fewer lanes than both ends support."""
    return link is not None and _less(link.width, link.max_width)


def slowed(link: PcieLink | None) -> bool:
    """Whether the link has a lower generation than both ends support. An idle GPU's link is always slowed."""
    return link is not None and _less(link.generation, link.max_generation)


def below_best(link: PcieLink | None) -> bool:
    """Whether a link that does not idle has fewer lanes or a lower generation than both ends support."""
    return narrowed(link) or slowed(link)


def lacking(
    width: int | None, generation: int | None, due_width: int | None, due_generation: int | None
) -> tuple[str, ...]:
    """What a link has and should have, in words; empty if that is met or not known."""
    values: list[str] = []
    if _less(width, due_width):
        values += (f"x{width}", f"x{due_width}")
    if _less(generation, due_generation):
        values += (f"generation {generation}", f"generation {due_generation}")
    return tuple(values)


def bytes_per_second(link: PcieLink | None) -> int | None:
    """What a link can carry in one direction at its highest generation and its present width."""
    if link is None:
        return None
    lane = LANE_BYTES_PER_SECOND.get(link.max_generation or link.generation or 0)
    width = link.width or link.max_width
    return lane * width if lane and width else None


def _least(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)


def _less(current: int | None, most: int | None) -> bool:
    return current is not None and most is not None and 0 < current < most
