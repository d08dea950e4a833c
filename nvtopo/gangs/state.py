"""One gang: its pods, its place, and what came of the attempts to find one."""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final, NamedTuple

from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.gangs.claims import GangClaims, Granted, Round
from nvtopo.gangs.gang import Asked, Key, Timing, asked, size_of, timing_of
from nvtopo.gangs.steps import Fail, Lift, Refusal, Say, Step
from nvtopo.placement.pods import GpuPod, in_order
from nvtopo.placement.result import Assignment

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0
"""Between two attempts: the first pause, doubled each time, and the longest."""
REFUSED_SECONDS: Final = 60.0
LONGEST_REFUSED_SECONDS: Final = 600.0
"""After a claim was refused, or the barrier was late again, until the gang is placed anew: the first pause, doubled
each time, and the longest."""
LONGEST_REASON: Final = 400
_LARGEST_EXPONENT: Final = 16


class Found(NamedTuple):
    """A reservation that the ledger had, and until when it is not given back."""

    answer: Assignment
    keep_until: float


class _Counts(NamedTuple):
    """What follows from a gang's pods."""

    waiting: tuple[GpuPod, ...]
    holding: int
    by_claim: bool


class Gang:
    """One gang."""

    def __init__(self, found: Found | None = None) -> None:
        self.pods: dict[str, GpuPod] = {}
        self._counts: _Counts | None = None
        self.answer = found.answer if found else None
        self.keep_until = found.keep_until if found else 0.0
        self.timing: Timing | None = None
        self.expired = False
        self.reason = ""
        self.attempts = 0
        self.tried_at = 0.0
        self.due_at = 0.0
        self.lost = ""
        """Why it can't be bound where it is placed; empty if it can."""
        self.look_at = inf
        """When it is looked at again though nothing happened."""
        self.move_at = inf
        """When a part that can't have its place is looked at again; never, if there is none."""
        self.held = False
        """Whether the barrier holds it."""
        self.refused: Refusal | None = None
        """A claim of it that the API server does not take; None once that was looked at."""
        self._since = inf
        """When it was found to have its place."""
        self._given_up = 0
        self._not_before = 0.0

    def put(self, pod: GpuPod) -> GpuPod | None:
        """One of its pods as it is now; how it was."""
        before = self.pods.get(pod.name)
        self.pods[pod.name], self._counts = pod, None
        return before

    def drop(self, name: str) -> GpuPod:
        """One of its pods is gone."""
        self._counts = None
        return self.pods.pop(name)

    def adopt(self, found: Found | None) -> None:
        """What the ledger has of it: who led meanwhile may have placed it, or moved a part of it."""
        if found is None:
            self.has_place(None)
        elif self.answer is None:
            self.has_place(*found)
            self.reason, self.attempts, self.due_at = "", 0, 0.0
        else:
            self.answer = found.answer

    @property
    def waiting(self) -> Sequence[GpuPod]:
        """The pods that can still be placed."""
        return self._counted.waiting

    @property
    def holding(self) -> int:
        """How many pods have not ended."""
        return self._counted.holding

    @property
    def by_claim(self) -> bool:
        """Whether its pods ask for GPUs by claims."""
        return self._counted.by_claim

    @property
    def _counted(self) -> _Counts:
        """Counted once after each change: most gangs are as they were."""
        if self._counts is None:
            pods = self.pods.values()
            waiting = tuple(pod for pod in pods if pod.waiting)
            holding = sum(not pod.ended for pod in pods)
            self._counts = _Counts(waiting, holding, by_claim=any(pod.claim for pod in pods))
        return self._counts

    @property
    def next_attempt(self) -> float:
        """When it is tried again, whatever becomes free before."""
        return max(self.due_at, self._not_before)

    def granted(self, answer: Assignment, now: float) -> Granted:
        """Its place, for who makes the claims."""
        self._since = min(self._since, now)
        return Granted(answer, self._since, self.refused)

    def take(self, found: Round, now: float) -> Iterable[Step]:
        """What is found of its claims; the next steps."""
        self.lost, self.look_at, self.held, self.refused = found.lost, found.until, found.held, None
        if found.opened:
            self._given_up = 0
        elif found.refused:
            self._give_up(now, 0)
        elif found.late:
            self._give_up(now, 1)
        return found.steps

    def late(self, waiting: Sequence[GpuPod], claims: GangClaims | None, *, fresh: bool) -> Iterator[Step]:
        """What its time-out says, once."""
        if self.expired and not fresh:
            return
        self.expired = True
        reason = f"no place was found in time: {self.reason or 'it was not tried'}"[:LONGEST_REASON]
        if self.timing is None or self.timing.on_timeout != "open":
            yield from (Fail(pod, reason) for pod in waiting)
        elif claims is None:
            yield from (Lift(pod) for pod in waiting)
        else:
            clearing = claims.clearing(waiting)
            yield from clearing if clearing is not None else map(claims.opening, waiting)

    def has_place(self, answer: Assignment | None, keep_until: float = 0.0) -> None:
        """It got a place, or has none any more."""
        self.answer, self.keep_until = answer, keep_until
        self.lost, self.held, self.refused, self._since = "", False, None, inf
        self.look_at = self.move_at = inf

    def _give_up(self, now: float, first: int) -> None:
        """The next claim may fare the same, and its GPUs are not to be held meanwhile: from the ``first`` time on."""
        if self._given_up >= first:
            pause = REFUSED_SECONDS * 2.0 ** min(self._given_up - first, _LARGEST_EXPONENT)
            self._not_before = now + min(LONGEST_REFUSED_SECONDS, pause)
        self._given_up += 1

    def deadline(self, waiting: Sequence[GpuPod]) -> float:
        """When those that wait wait no longer."""
        if self.timing is None:
            self.timing = timing_of(waiting)
        if self.timing.timeout_seconds is None or self.timing.on_timeout == "wait":
            return inf
        return min(pod.created for pod in waiting) + self.timing.timeout_seconds

    def whole(self, key: Key, waiting: Sequence[GpuPod]) -> Asked | None:
        """What it asks for, if it is whole; else what it lacks is its reason until something happens to its pods."""
        try:
            size, others = size_of(waiting), self.holding - len(waiting)
            if others:
                self.reason = f"{others} of its pods run or end already: all of them have to wait together"
            elif len(waiting) != size:
                self.reason = f"{len(waiting)} of its {size} pods are there"
            else:
                return asked(key, waiting)
        except ParseError as error:
            self.reason = str(error)
        self.due_at = inf
        return None

    def says(self, waiting: Sequence[GpuPod]) -> Iterator[Say]:
        """Its reason, at the first of its pods, as long as it does not stand there."""
        first, reason = in_order(waiting)[0], self.reason[:LONGEST_REASON]
        if reason and first.status != reason:
            yield Say(first, reason)

    def changed(self) -> None:
        """Something happened to one of its pods."""
        self.timing = None
        self.due_at = min(self.due_at, self.tried_at + FIRST_SECONDS)


def differ(before: GpuPod, now: GpuPod) -> bool:
    """Whether a pod changed so that it matters; what we write at a pod does not."""
    return _placed_by(before) != _placed_by(now)


def _placed_by(pod: GpuPod) -> GpuPod:
    return replace(pod, status="", node="", measured=(None, None))
