"""What a placement costs inside the gang, as integers of picoseconds: all-reduce, sends between stages, all-to-all.

**All-reduce.** A ring over N GPUs takes 2·(N-1) steps, and each moves S/N bytes over the slowest link: 2·(N-1)/N·S/B +
Σ latency (the alpha-beta model; Thakur, Rabenseifner and Gropp 2005). Ranks are ordered domain by domain, so the chain
of N-1 steps crosses a level once less than it has domains there, as NCCL counts its inter-node steps. So for the d[l]
domains that are used at each level l below the one where all meet, the latency is a sum with a weight for each domain.

**Pipeline.** A pass goes through one stage after the other, so the all-reduces of the stages add up. A stage of several
pods pays for the level at which it meets: its slowest link, and a latency for each step between pods. Each stage sends
to the next over the level at which both meet. Stages are in the order that crosses least: nested domains make an
ultrametric, in which the shortest path over all points is as long as the shortest tree. So that is a sum too.

**All-to-all.** The pairwise exchange takes N-1 steps, in which each GPU moves (N-1)/N·S bytes (Thakur et al.), all over
the level at which the gang meets.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from nvtopo.placement.links import Link
from nvtopo.placement.request import Work

PS_PER_SECOND: Final = 1_000_000_000_000

PUBLISHED_BYTES: Final = 2_000_000
"""The message of the published table: a 70B model, tensor parallelism of 8."""


def moved_ps(ranks: int, message_bytes: int, link: Link) -> int:
    """How long the data of a ring all-reduce takes over its slowest link, rounded up; nothing for one rank."""
    return -(-2 * (ranks - 1) * message_bytes * PS_PER_SECOND // (ranks * link.bytes_per_second))


def weights(links: Sequence[Link], level: int) -> tuple[int, ...]:
    """For each level below ``level``: what each domain used there adds to a ring, if all meet at ``level``."""
    return tuple(2 * (links[below + 1].latency_ps - links[below].latency_ps) for below in range(level))


def fixed_ps(links: Sequence[Link], level: int, ranks: int, message_bytes: int) -> int:
    """What of a ring does not depend on the domains that are used, if all meet at ``level``."""
    return moved_ps(ranks, message_bytes, links[level]) + 2 * (ranks * links[0].latency_ps - links[level].latency_ps)


def sent_ps(link: Link, size: int) -> int:
    """One send of so many bytes, rounded up."""
    return link.latency_ps + -(-size * PS_PER_SECOND // link.bytes_per_second)


def all_to_all_ps(link: Link, ranks: int, size: int) -> int:
    """One all-to-all in which each of the ranks has so many bytes for all others; nothing without bytes."""
    if not size or ranks == 1:
        return 0
    return (ranks - 1) * link.latency_ps + -(-(ranks - 1) * size * PS_PER_SECOND // (ranks * link.bytes_per_second))


def stage_ps(links: Sequence[Link], level: int, work: Work) -> int:
    """One all-reduce of a stage that meets at ``level``."""
    if work.stage_pods == 1:
        level = 0
    between = work.stage_pods - 1
    latency = between * links[level].latency_ps + (work.tensor - 1 - between) * links[0].latency_ps
    return moved_ps(work.tensor, work.message_bytes, links[level]) + 2 * latency


class Prices:
    """What a gang costs at each level at which it may meet, and what the domains cost that it uses below.

    A domain with at least one whole stage (or pod, if stages are no larger) costs its weight, and each whole stage in
    it is cheaper by the rebate: it need not meet farther away.
    """

    __slots__ = ("fixed", "rebates", "stage_pods", "weights")

    def __init__(self, links: Sequence[Link], work: Work) -> None:
        levels, factor = range(len(links)), work.weights
        self.stage_pods = work.stage_pods
        experts = [factor.all_to_all * all_to_all_ps(link, work.ranks, work.expert_bytes) for link in links]
        if work.pipeline == 1:
            rings = [fixed_ps(links, level, work.ranks, work.message_bytes) for level in levels]
            self.fixed = tuple(factor.all_reduce * ring + more for ring, more in zip(rings, experts, strict=True))
            self.weights = tuple(tuple(factor.all_reduce * one for one in weights(links, level)) for level in levels)
            self.rebates: tuple[int, ...] = ()
            return
        sends = [factor.stage_sends * sent_ps(link, work.stage_bytes) for link in links]
        stages = [factor.all_reduce * stage_ps(links, level, work) for level in levels]
        steps = tuple(far - near for near, far in pairwise(sends))
        if work.stage_pods == 1:
            self.rebates = ()
            first = [work.pipeline * (stages[0] + sends[0]) - sends[level] for level in levels]
        else:
            self.rebates = tuple(stages[below + 1] - stages[below] + steps[below] for below in levels[:-1])
            first = [work.pipeline * stages[level] + (work.pipeline - 1) * sends[level] for level in levels]
        self.fixed = tuple(one + more for one, more in zip(first, experts, strict=True))
        self.weights = tuple(steps[:level] for level in levels)

    def least(self, level: int, fewest: Sequence[int], stages: int) -> int:
        """What no gang costs less than that meets at ``level``, if ``fewest`` domains of each closer level hold it."""
        held = sum(weight * count for weight, count in zip(self.weights[level], fewest, strict=False))
        return self.fixed[level] + held - stages * sum(self.rebates[:level])


class Shape(NamedTuple):
    """How a gang lies in the tree, at each level up to the one where it meets."""

    used: tuple[int, ...]
    """Domains that are used; 1 at the last level."""
    chain: tuple[int, ...]
    """Parts that the chain of stages falls into: domains with whole stages, and stages that are in no one domain."""
    whole: tuple[int, ...]
    """Stages that are in one domain."""


def shape(pods: Iterable[Sequence[int]], work: Work) -> Shape:
    """From the pods of each domain used, level by level from the host."""
    levels = [[count for count in level if count] for level in pods]
    used = tuple(map(len, levels))
    if work.stage_pods == 1:
        return Shape(used, used, (work.pipeline,) * len(levels))
    whole = tuple(sum(count // work.stage_pods for count in level) for level in levels)
    holding = (sum(count >= work.stage_pods for count in level) for level in levels)
    chain = tuple(some + work.pipeline - inside for some, inside in zip(holding, whole, strict=True))
    return Shape(used, chain, whole)


def ring(links: Sequence[Link], used: Sequence[int], ranks: int, message_bytes: int) -> int:
    """The time of one all-reduce. ``used[l]`` is the number of domains of level l; the last is 1, where all meet."""
    level = len(used) - 1
    within = (ranks - used[0]) * links[0].latency_ps
    across = sum((used[below] - used[below + 1]) * links[below + 1].latency_ps for below in range(level))
    return moved_ps(ranks, message_bytes, links[level]) + 2 * (within + across)


def all_reduce(links: Sequence[Link], lies: Shape, work: Work) -> int:
    """The weighted all-reduces: of all of the gang, or of each stage in turn."""
    if work.pipeline == 1:
        return work.weights.all_reduce * ring(links, lies.used, work.ranks, work.message_bytes)
    closer = (0, *lies.whole)
    meeting = [lies.whole[level] - closer[level] for level in range(len(lies.whole))]
    return work.weights.all_reduce * sum(count * stage_ps(links, level, work) for level, count in enumerate(meeting))


def stage_sends(links: Sequence[Link], lies: Shape, work: Work) -> int | None:
    """The weighted sends from each stage to the next; None without a pipeline."""
    if work.pipeline == 1:
        return None
    parts = (work.pipeline, *lies.chain)
    crossings = ((parts[level] - parts[level + 1], links[level]) for level in range(len(lies.chain)))
    return work.weights.stage_sends * sum(count * sent_ps(link, work.stage_bytes) for count, link in crossings)


def all_to_all(links: Sequence[Link], lies: Shape, work: Work) -> int | None:
    """The weighted all-to-all of experts; None without one."""
    if not work.expert_bytes:
        return None
    return work.weights.all_to_all * all_to_all_ps(links[len(lies.used) - 1], work.ranks, work.expert_bytes)


def published(bandwidth_bytes_per_second: int, ranks: int = 8, message_bytes: int = PUBLISHED_BYTES) -> int:
    """The time as the published table takes it: 2·(N-1)·S/B, without dividing the message by N, and no latency.

    The table counts both directions of all links (1,800 GB/s), and prints 3 and 36 times its rounded 0.016 ms for the
    other rows. It is here to be compared with; placements are decided by ``ring``.
    """
    return 2 * (ranks - 1) * message_bytes * PS_PER_SECOND // bandwidth_bytes_per_second
