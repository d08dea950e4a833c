"""What a gang costs whose ranks stay in their order, wherever they are: after a move they may not follow the topology.

NCCL takes nodes in the order of their first rank, and does not reorder them: each step from a node to the next crosses
the level at which both meet. Of ranks that follow the topology this is the cost of ``nvtopo.placement.cost``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from nvtopo.placement import cost
from nvtopo.placement.fleet import FLEET, NODE, Host
from nvtopo.placement.links import Link
from nvtopo.placement.request import Request

TierPath = tuple[tuple[bool, str], ...]
"""Of a host or domain: from the outermost tier inward, whether it is known, and its ID or that of a closer domain."""


class Ordered(NamedTuple):
    """The terms of the cost, weighted, in picoseconds; None of one that was not asked for."""

    level: int
    """At which all meet."""
    all_reduce: int
    stage_sends: int | None
    all_to_all: int | None

    @property
    def total(self) -> int:
        """All of them."""
        return self.all_reduce + (self.stage_sends or 0) + (self.all_to_all or 0)


def place_of(host: Host, levels: Sequence[str]) -> TierPath:
    """Where a host is. In a tier that nobody knows, it is in a domain with those that share a closer one."""
    found: list[tuple[bool, str]] = []
    nearest = host.name
    for level in levels:
        if level == FLEET:
            break
        known = level == NODE or level in host.tiers
        nearest = host.tiers[level] if known and level != NODE else nearest
        found.append((known, nearest))
    return tuple(reversed(found))


def meeting(places: Sequence[TierPath]) -> int:
    """The level at which all of them meet."""
    first, *others = places
    depth = len(first)
    common = depth
    for other in others:
        common = next((at for at in range(common) if first[at] != other[at]), common)
    return depth - common


def priced(links: Sequence[Link], request: Request, places: Sequence[TierPath]) -> Ordered:
    """What it costs with its pods there, in the order of their ranks."""
    work = request.work
    level = meeting(places)
    experts = None
    if work.expert_bytes:
        experts = work.weights.all_to_all * cost.all_to_all_ps(links[level], work.ranks, work.expert_bytes)
    if work.pipeline == 1:
        return Ordered(level, work.weights.all_reduce * ring(links, request, places), None, experts)
    stages = [places[at : at + work.stage_pods] for at in range(0, len(places), work.stage_pods)]
    reduces = sum(cost.stage_ps(links, meeting(stage), work) for stage in stages)
    if work.stage_pods == 1:
        reduces = work.pipeline * cost.stage_ps(links, 0, work)
    sends = sum(cost.sent_ps(links[meeting((*one, *next_one))], work.stage_bytes) for one, next_one in pairwise(stages))
    sends += (work.pipeline - len(stages)) * cost.sent_ps(links[0], work.stage_bytes)
    return Ordered(level, work.weights.all_reduce * reduces, work.weights.stage_sends * sends, experts)


def ring(links: Sequence[Link], request: Request, places: Sequence[TierPath]) -> int:
    """The time of one all-reduce over all of the gang."""
    nodes = tuple(dict.fromkeys(places))
    meetings = [meeting(two) for two in pairwise(nodes)]
    within = (request.ranks - len(nodes)) * links[0].latency_ps
    across = sum(links[level].latency_ps for level in meetings)
    moved = cost.moved_ps(request.ranks, request.message_bytes, links[max(meetings, default=0)])
    return moved + 2 * (within + across)
