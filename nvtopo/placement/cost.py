"""What a placement costs: the time of one all-reduce over it, as an integer of picoseconds.

A ring over N GPUs takes 2·(N-1) steps, and each moves S/N bytes over the slowest link: 2·(N-1)/N·S/B + Σ latency
(the alpha-beta model; Thakur, Rabenseifner and Gropp 2005). Ranks are ordered domain by domain, so the chain of N-1
steps crosses a level once less than it has domains there, as NCCL counts its inter-node steps. So for the d[l] domains
that are used at each level l below the one where all meet, the latency is a sum with a weight for each domain used:
``weights``. The search adds these up; ``ring`` is the formula as such, and tests hold the two together.
"""

from collections.abc import Sequence
from typing import Final

from nvtopo.placement.links import Link

PS_PER_SECOND: Final = 1_000_000_000_000

PUBLISHED_BYTES: Final = 2_000_000
"""The message of the published table: a 70B model, tensor parallelism of 8."""


def moved_ps(ranks: int, message_bytes: int, link: Link) -> int:
    """How long the data of a ring all-reduce takes over its slowest link, rounded up; nothing for one rank."""
    return -(-2 * (ranks - 1) * message_bytes * PS_PER_SECOND // (ranks * link.bytes_per_second))


def weights(links: Sequence[Link], level: int) -> tuple[int, ...]:
    """For each level below ``level``: what each domain used there adds, if all meet at ``level``."""
    return tuple(2 * (links[below + 1].latency_ps - links[below].latency_ps) for below in range(level))


def fixed_ps(links: Sequence[Link], level: int, ranks: int, message_bytes: int) -> int:
    """What does not depend on the domains that are used, if all meet at ``level``."""
    return moved_ps(ranks, message_bytes, links[level]) + 2 * (ranks * links[0].latency_ps - links[level].latency_ps)


class Prices:
    """``fixed_ps`` and ``weights`` of every level, for gangs of one size."""

    __slots__ = ("fixed", "weights")

    def __init__(self, links: Sequence[Link], ranks: int, message_bytes: int) -> None:
        self.fixed = tuple(fixed_ps(links, level, ranks, message_bytes) for level in range(len(links)))
        self.weights = tuple(weights(links, level) for level in range(len(links)))


def ring(links: Sequence[Link], used: Sequence[int], ranks: int, message_bytes: int) -> int:
    """The time of one all-reduce. ``used[l]`` is the number of domains of level l; the last is 1, where all meet."""
    level = len(used) - 1
    within = (ranks - used[0]) * links[0].latency_ps
    across = sum((used[below] - used[below + 1]) * links[below + 1].latency_ps for below in range(level))
    return moved_ps(ranks, message_bytes, links[level]) + 2 * (within + across)


def published(bandwidth_bytes_per_second: int, ranks: int = 8, message_bytes: int = PUBLISHED_BYTES) -> int:
    """The time as the published table takes it: 2·(N-1)·S/B, without dividing the message by N, and no latency.

    The table counts both directions of all links (1,800 GB/s), and prints 3 and 36 times its rounded 0.016 ms for the
    other rows. It is here to be compared with; placements are decided by ``ring``.
    """
    return 2 * (ranks - 1) * message_bytes * PS_PER_SECOND // bandwidth_bytes_per_second
