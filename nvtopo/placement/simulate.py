"""``Simulation``: a trace of gangs over a fleet under one policy, event by event. The time is the trace's own.

A gang runs as long as the trace says, wherever it is. When a node fails, the gangs on it are queued again in the place
of their arrival and start from the beginning. All chance is drawn from what is given, so equal input gives equal runs.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from math import gcd, log
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.errors import UsageError
from nvtopo.placement import cost, links
from nvtopo.placement.board import Board
from nvtopo.placement.fleet import Fleet
from nvtopo.placement.links import Link
from nvtopo.placement.policies import Policy, Wish
from nvtopo.placement.result import Rank
from nvtopo.placement.trace import Draw, Gang

#: In the order in which events of one time happen.
_END, _REPAIR, _FAILURE, _ARRIVAL = range(4)
#: Steps of a simulation, and more for each gang: one that gets there has nodes that fail faster than gangs end.
_MOST_STEPS: Final = 1_000_000
_STEPS_OF_A_GANG: Final = 100


class Failures(NamedTuple):
    """Nodes fail at random, each on its own, and are repaired."""

    mean_seconds_between: float
    """Mean time between two failures of one node."""
    repair_seconds: float


class Setup(NamedTuple):
    """What is the same for all policies."""

    within: bool = True
    """A gang that one empty domain of level 1 holds has to be inside one."""
    backfill: bool = True
    """A gang that can't start does not hold up those behind it."""
    message_bytes: int = 2_000_000
    failures: Failures | None = None
    links: Mapping[str, Link] = MappingProxyType({})
    """What the site's links really give."""


class Run(NamedTuple):
    """What happened, gang by gang."""

    waits: tuple[float, ...]
    """Seconds in the queue, of each gang that started, all its attempts together."""
    all_reduces_ps: tuple[int, ...]
    """Of each start of a gang with more than one GPU."""
    crossed: int
    """Starts of gangs that one domain could hold, in more than one domain."""
    could_be_inside: int
    impossible: int
    """Gangs larger than the whole fleet."""
    restarts: int
    fragmentation: float
    """Mean over the time until the last start; if all started at once, until the end."""
    utilisation: float
    """Mean share of GPUs in use, over the same time."""
    end: float
    """When the last gang ended."""


def fitted(gangs: tuple[Gang, ...], given: Fleet) -> tuple[Gang, ...]:
    """The gangs, pods that are larger than the largest node split into equal ones that are not."""
    largest = max((host.free_gpus for host in given.hosts.values()), default=0)
    if not largest:
        raise UsageError("simulate: expected a cluster with free GPUs, got none")

    def split(gang: Gang) -> Gang:
        if gang.gpus <= largest:
            return gang
        gpus = gcd(gang.gpus, largest)
        return gang._replace(pods=gang.pods * gang.gpus // gpus, gpus=gpus)

    return tuple(map(split, gangs))


def run(  # noqa: PLR0913, PLR0917 - the input, and who is told
    given: Fleet,
    gangs: tuple[Gang, ...],
    policy: Policy,
    setup: Setup,
    draw: Draw,
    chance_of_failures: Draw,
    progress: Callable[[int], None] = lambda _ended: None,
) -> Run:
    """One simulation. ``progress`` is told how many more gangs are done with.

    Raises:
        UsageError: nodes fail so often that it would not end.
    """
    return _Simulation(given, gangs, setup, policy, draw, chance_of_failures).run(progress)


class _Simulation:
    def __init__(  # noqa: PLR0913, PLR0917 - as ``run``
        self, given: Fleet, gangs: tuple[Gang, ...], setup: Setup, policy: Policy, draw: Draw, chance: Draw
    ) -> None:
        self._board = Board(given, setup.links)
        self._links = links.table(given.levels, setup.links)
        self._setup, self._policy, self._draw = setup, policy, draw
        possible = [self._board.holds(gang, within=False) for gang in gangs]
        self._gangs = [gang for gang, holds in zip(gangs, possible, strict=True) if holds]
        self._impossible = len(gangs) - len(self._gangs)
        self._inside = [self._board.holds(gang, within=True) for gang in self._gangs]
        self._failures = None if setup.failures is None else _failures(setup.failures, len(self._board.hosts), chance)
        self._events: list[tuple[float, int, int, int]] = []
        """Time, kind, which gang or node, which attempt."""
        self._waiting: list[int] = []
        self._since: dict[int, float] = {}
        self._waits = dict.fromkeys(range(len(self._gangs)), 0.0)
        self._running: dict[int, tuple[Rank, ...]] = {}
        self._on: dict[str, set[int]] = {}
        self._attempts = [0] * len(self._gangs)
        self._down: dict[int, tuple[Rank, ...]] = {}
        self._refused: set[tuple[int, int, bool]] = set()
        """Sizes that did not fit since GPUs were last given back."""
        self._all_reduces: list[int] = []
        self._crossed = self._could = self._restarts = self._left = 0
        self._now = self._broken_up = self._busy = 0.0
        self._at_last_start = (0.0, 0.0, 0.0)

    def run(self, progress: Callable[[int], None]) -> Run:
        self._left = len(self._gangs)
        progress(self._impossible)
        for number, gang in enumerate(self._gangs):
            heappush(self._events, (gang.arrival, _ARRIVAL, number, 0))
        self._next_failure()
        steps = 0
        while self._left:
            steps += 1
            if steps > _MOST_STEPS + _STEPS_OF_A_GANG * len(self._gangs):
                raise UsageError("simulate: expected nodes that fail more rarely than gangs end; this would never end")
            self._advance(self._events[0][0])
            before = self._left
            while self._events and self._events[0][0] == self._now:
                _time, kind, which, attempt = heappop(self._events)
                self._happens(kind, which, attempt)
            self._start()
            progress(before - self._left)
        return self._outcome()

    def _advance(self, time: float) -> None:
        passed, board = time - self._now, self._board
        self._broken_up += passed * board.fragmentation
        self._busy += passed * (board.gpus - board.free)
        self._now = time

    def _happens(self, kind: int, which: int, attempt: int) -> None:
        if kind == _ARRIVAL:
            self._queue(which)
        elif kind == _END:
            if which in self._running and self._attempts[which] == attempt:
                self._ended(which)
                self._left -= 1
        elif kind == _REPAIR:
            self._give(self._down.pop(which))
        else:
            self._fails(which)
            self._next_failure()

    def _queue(self, which: int) -> None:
        insort(self._waiting, which)
        self._since[which] = self._now

    def _fails(self, node: int) -> None:
        if node in self._down:
            return
        for which in sorted(self._on.get(self._board.hosts[node].name, ())):
            self._ended(which)
            self._restarts += 1
            self._queue(which)
        self._down[node] = self._board.rest(node)
        self._board.take(self._down[node])
        assert self._setup.failures is not None
        heappush(self._events, (self._now + self._setup.failures.repair_seconds, _REPAIR, node, 0))

    def _next_failure(self) -> None:
        if self._failures is not None:
            time, node = next(self._failures)
            heappush(self._events, (time, _FAILURE, node, 0))

    def _ended(self, which: int) -> None:
        ranks = self._running.pop(which)
        for rank in ranks:
            self._on[rank.node].discard(which)
        self._give(ranks)

    def _give(self, ranks: tuple[Rank, ...]) -> None:
        self._board.give(ranks)
        self._refused.clear()

    def _start(self) -> None:
        """Start what fits, in the order of arrival."""
        left: list[int] = []
        for at, which in enumerate(self._waiting):
            gang, within = self._gangs[which], self._setup.within and self._inside[which]
            size = (gang.pods, gang.gpus, within)
            if size not in self._refused and self._board.holds(gang, within=within):
                self._begin(which, gang, within=within)
                continue
            self._refused.add(size)
            left.append(which)
            if not self._setup.backfill:
                left += self._waiting[at + 1 :]
                break
        self._waiting = left

    def _begin(self, which: int, gang: Gang, *, within: bool) -> None:
        ranks = self._policy(self._board, Wish(gang, within), self._draw)
        used = self._board.used(ranks)
        self._board.take(ranks)
        self._running[which] = ranks
        for rank in ranks:
            self._on.setdefault(rank.node, set()).add(which)
        self._waits[which] += self._now - self._since.pop(which)
        self._attempts[which] += 1
        self._at_last_start = (self._now, self._broken_up, self._busy)
        heappush(self._events, (self._now + gang.duration, _END, which, self._attempts[which]))
        if gang.ranks > 1:
            self._all_reduces.append(cost.ring(self._links, used, gang.ranks, self._setup.message_bytes))
        if self._inside[which]:
            self._could += 1
            self._crossed += len(used) > 2  # noqa: PLR2004 - more than one host, and more than one domain

    def _outcome(self) -> Run:
        time, broken_up, busy = self._at_last_start
        if not time:
            time, broken_up, busy = self._now, self._broken_up, self._busy
        started = [self._waits[which] for which, attempts in enumerate(self._attempts) if attempts]
        return Run(
            waits=tuple(started),
            all_reduces_ps=tuple(self._all_reduces),
            crossed=self._crossed,
            could_be_inside=self._could,
            impossible=self._impossible,
            restarts=self._restarts,
            fragmentation=broken_up / time if time else 0.0,
            utilisation=busy / (time * self._board.gpus) if time else 0.0,
            end=self._now,
        )


def _failures(of: Failures, nodes: int, chance: Draw) -> Iterator[tuple[float, int]]:
    """When which node fails: the same for every policy, since nothing else draws from it."""
    time = 0.0
    while True:
        time -= log(1.0 - chance.random()) * of.mean_seconds_between / nodes
        yield time, int(chance.random() * nodes)
