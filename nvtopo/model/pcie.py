"""PCIe generations: what a speed text means, and what a link carries."""

from nvtopo.model.facts import PcieLink

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


def bytes_per_second(link: PcieLink | None) -> int | None:
    """What a link can carry in one direction at its highest generation and its present width."""
    if link is None:
        return None
    lane = LANE_BYTES_PER_SECOND.get(link.max_generation or link.generation or 0)
    width = link.width or link.max_width
    return lane * width if lane and width else None
