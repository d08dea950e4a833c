"""How long one all-reduce takes by each algorithm, as integers of picoseconds. NCCL chooses one when the job runs.

An island is what NVLink joins: a node, or an NVLink domain. With N ranks on I islands, S bytes, and B and L the
bandwidth and latency of the slowest link:

- **Ring**: ``nvtopo.placement.cost.ring``. The search decides by it.
- **Tree**: up and down a double binary tree over the islands, and a chain inside each: 2·(N/I - 1)·L of NVLink +
  2·log2(I)·L, and 2·S / (0.92·B), as NCCL's ``src/graph/tuning.cc`` has it.
- **Hierarchical**: reduce-scatter inside each island, a ring over the islands for each share of S/m bytes, all-gather
  inside. It takes islands of the same number of ranks, m.
"""

from collections.abc import Collection, Sequence
from typing import Final

from nvtopo.placement import cost
from nvtopo.placement.links import Link
from nvtopo.placement.result import AllReduceTimes

#: NCCL's share of the bus bandwidth that a tree reaches, in percent.
_TREE_PERCENT: Final = 92


def island_level(links: Sequence[Link]) -> int:
    """The farthest level that NVLink joins: the last one with the link of the closest."""
    return next((level for level, link in enumerate(links) if link != links[0]), len(links)) - 1


def times(links: Sequence[Link], used: Sequence[int], message_bytes: int, islands: Collection[int]) -> AllReduceTimes:
    """By each algorithm. ``used[l]`` is the number of domains of level l; ``islands`` are the ranks of each island."""
    ranks = sum(islands)
    return AllReduceTimes(
        ring=cost.ring(links, used, ranks, message_bytes),
        tree=_tree(links, used, ranks, message_bytes),
        hierarchical=_hierarchical(links, used, message_bytes, islands),
    )


def _tree(links: Sequence[Link], used: Sequence[int], ranks: int, message_bytes: int) -> int:
    """A step over a level for each doubling of the domains that meet there."""
    if ranks == 1:
        return 0
    island, level = island_level(links), len(used) - 1
    count = used[island] if island <= level else 1
    steps = -(-ranks // count) - 1
    latency = steps * links[0].latency_ps
    for below in range(island, level):
        meeting = -(-used[below] // used[below + 1])
        latency += (meeting - 1).bit_length() * links[below + 1].latency_ps
    rate = links[level].bytes_per_second * (_TREE_PERCENT if level > 0 else 100)
    return 2 * latency + -(-2 * 100 * message_bytes * cost.PS_PER_SECOND // rate)


def _hierarchical(
    links: Sequence[Link], used: Sequence[int], message_bytes: int, islands: Collection[int]
) -> int | None:
    sizes = {*islands}
    if len(sizes) != 1:
        return None
    (size,), island, level = sizes, island_level(links), len(used) - 1
    within = cost.ring(links, (1,), size, message_bytes)
    if len(islands) == 1:
        return within
    across = cost.moved_ps(len(islands), -(-message_bytes // size), links[level])
    crossings = sum((used[below] - used[below + 1]) * links[below + 1].latency_ps for below in range(island, level))
    return within + across + 2 * crossings
