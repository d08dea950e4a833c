"""``Gangs``: what is done next for gangs of gated pods. A state machine: no I/O, and the time is an argument.

A gang is placed once all of its pods wait. Its GPUs are reserved for good before the first gate is lifted, under an ID
that follows from its name: who takes over in the middle finds the reservation and lifts the other gates by the same
answer. A pod that comes for one that is gone gets that one's rank and GPUs. The reservation ends with the last pod.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from math import inf
from typing import Final, NamedTuple

from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.placement.cost import PS_PER_SECOND
from nvtopo.placement.gang import Asked, Key, Timing, asked, key_of, size_of, timing_of
from nvtopo.placement.gang_steps import Attempt, Fail, Figures, Lift, Plan, Result, Say, Step, lifts
from nvtopo.placement.pods import GpuPod, PodEvent, PodGone, PodSeen, PodsListed, in_order
from nvtopo.placement.result import Assignment, NoFit, PlacementResult

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0
"""Between two attempts: the first pause, doubled each time, and the longest."""
ORPHAN_SECONDS: Final = 30.0
"""After a change of leaders, until a reservation whose pods were not seen is given back: a watch may lag."""
#: Placed in one step; the others are next.
_MOST_ATTEMPTS: Final = 64
_LARGEST_EXPONENT: Final = 16
_LONGEST_REASON: Final = 400
#: Gangs that have series of their own.
_MOST_RESULTS: Final = 500


class _Gang:
    """One gang."""

    def __init__(self, found: "_Found | None" = None) -> None:
        self.pods: dict[str, GpuPod] = {}
        self.answer = found.answer if found else None
        self.keep_until = found.keep_until if found else 0.0
        self.timing: Timing | None = None
        self.expired = False
        self.reason = ""
        self.attempts = 0
        self.tried_at = 0.0
        self.due_at = 0.0

    @property
    def waiting(self) -> list[GpuPod]:
        return [pod for pod in self.pods.values() if pod.gated]

    @property
    def holding(self) -> int:
        return sum(not pod.ended for pod in self.pods.values())

    def deadline(self, waiting: list[GpuPod]) -> float:
        """When those that wait wait no longer."""
        if self.timing is None:
            self.timing = timing_of(waiting)
        if self.timing.timeout_seconds is None or self.timing.on_timeout == "wait":
            return inf
        return min(pod.created for pod in waiting) + self.timing.timeout_seconds

    def changed(self) -> None:
        """Something happened to one of its pods."""
        self.timing = None
        self.due_at = min(self.due_at, self.tried_at + FIRST_SECONDS)


class _Found(NamedTuple):
    """A reservation that the ledger had, and until when it is not given back."""

    answer: Assignment
    keep_until: float


class Gangs:
    """All gangs. Until ``begin`` nothing is known of reservations, and nothing is to be done."""

    def __init__(self) -> None:
        self._gangs: dict[Key, _Gang] = {}
        self._keys: dict[tuple[str, str], Key] = {}
        self._orphans: dict[str, _Found] = {}
        self._fresh: set[Key] = set()
        self._listed = False
        self._begun = False

    @property
    def figures(self) -> Figures:
        """At this moment."""
        placed = sum(gang.answer is not None for gang in self._gangs.values())
        waiting = sum(gang.answer is None and bool(gang.waiting) for gang in self._gangs.values())
        return Figures(waiting, placed)

    @property
    def results(self) -> tuple[Result, ...]:
        """What gangs measured, of a limited number of them."""
        return tuple(islice(self._results(), _MOST_RESULTS))

    def _results(self) -> Iterator[Result]:
        """Of each gang the first of its pods that measured something."""
        for key, gang in self._gangs.items():
            said = [pod for pod in gang.pods.values() if pod.measured != (None, None)]
            if gang.answer is not None and said:
                bus, step = in_order(said)[0].measured
                name = f"{key.gang}/{key.group}" if key.group else key.gang
                predicted = gang.answer.cost.total / PS_PER_SECOND
                level, rate = gang.answer.level, gang.answer.bus_bytes_per_second
                yield Result(key.namespace, name, level, rate, bus, predicted, step)

    def fold(self, event: PodEvent) -> None:
        """What happened to a pod."""
        match event:
            case PodsListed(pods):
                there = {pod.key for pod in pods if pod.gang}
                for key in [key for key in self._keys if key not in there]:
                    self._forget(key)
                for pod in pods:
                    self._see(pod)
                self._listed = True
            case PodSeen(pod):
                self._see(pod)
            case PodGone(namespace, name):
                self._forget((namespace, name))

    def begin(self, reservations: Mapping[str, Assignment], now: float) -> None:
        """A new term, or what the ledger has was read again: these are all reservations of gangs."""
        found = {key: _Found(answer, now + ORPHAN_SECONDS) for key, answer in reservations.items()}
        known = {key: one for key, one in self._orphans.items() if key in found}
        self._orphans = found | known
        for key, gang in self._gangs.items():
            mine = self._orphans.pop(key.id, None)
            if mine is None or gang.answer is None:
                gang.answer, gang.keep_until = (None, 0.0) if mine is None else mine
        self._fresh.update(self._gangs)
        self._begun = True

    def stir(self, now: float) -> None:
        """GPUs may have become free: who waits is tried again, if it was not a moment ago."""
        for gang in self._gangs.values():
            gang.due_at = min(gang.due_at, max(now, gang.tried_at + FIRST_SECONDS))

    def placed(self, key: Key, answer: PlacementResult | str, now: float) -> None:
        """What came of an attempt; a text if it failed."""
        gang = self._gangs.get(key)
        if gang is None:  # its pods went meanwhile
            if isinstance(answer, Assignment):
                self._orphans[key.id] = _Found(answer, now)
            return
        self._fresh.add(key)
        gang.tried_at = now
        if isinstance(answer, Assignment):
            gang.answer, gang.keep_until, gang.reason, gang.attempts = answer, 0.0, "", 0
            return
        gang.reason = answer.reason if isinstance(answer, NoFit) else answer
        gang.due_at = now + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(gang.attempts, _LARGEST_EXPONENT))
        gang.attempts += 1

    def released(self, reservation: str) -> None:
        """It is no longer in the ledger."""
        self._orphans.pop(reservation, None)
        for key in [key for key, gang in self._gangs.items() if key.id == reservation]:
            self._gangs[key].answer = None
            self._touch(key)
            self._drop_empty(key)

    def seconds_until_next(self, now: float) -> float:
        """How long nothing is to be done if nothing happens."""
        moments = [found.keep_until for found in self._orphans.values()]
        for gang in self._gangs.values():
            if gang.answer is not None:
                moments += [] if gang.holding else [gang.keep_until]
            elif (waiting := gang.waiting) and not gang.expired:
                moments += [gang.due_at, gang.deadline(waiting)]
        return max(0.0, min(moments, default=inf) - now)

    def plan(self, now: float) -> Plan:
        """What is to be done now. A step is named once, and again after ``begin`` or a change of one of its pods."""
        if not (self._listed and self._begun):
            return Plan((), (), ())
        ended = [key for key, found in self._orphans.items() if found.keep_until <= now]
        attempts: list[tuple[int, float, Attempt]] = []
        steps: list[Step] = []
        for key, gang in self._gangs.items():
            if gang.answer is not None:
                if gang.holding:
                    gang.keep_until = 0.0  # what is seen to end from here on has ended
                if not gang.holding and gang.keep_until <= now:
                    ended.append(key.id)
                elif key in self._fresh:
                    steps += lifts(key, gang.pods.values(), gang.answer)
            elif waiting := gang.waiting:
                if gang.deadline(waiting) <= now:
                    steps += _late(gang, waiting, fresh=key in self._fresh)
                elif gang.due_at <= now and (found := _whole(key, gang, waiting)):
                    first = in_order(waiting)[0]
                    attempts.append((-first.priority, min(pod.created for pod in waiting), Attempt(key, found)))
                else:
                    steps += _says(gang, waiting)
        self._fresh.clear()
        attempts.sort(key=lambda one: one[:2])
        return Plan(tuple(ended), tuple(attempt for *_order, attempt in attempts[:_MOST_ATTEMPTS]), tuple(steps))

    def _see(self, pod: GpuPod) -> None:
        key = key_of(pod) if pod.gang else None
        before = self._keys.get(pod.key)
        if before is not None and before != key:
            self._forget(pod.key)
        if key is None:
            return
        if key not in self._gangs:
            self._gangs[key] = _Gang(self._orphans.pop(key.id, None))
        gang = self._gangs[key]
        known = gang.pods.get(pod.name)
        self._keys[pod.key] = key
        gang.pods[pod.name] = pod
        if known is None or _changed(known, pod):
            self._touch(key)

    def _forget(self, pod: tuple[str, str]) -> None:
        key = self._keys.pop(pod, None)
        if key is not None:
            del self._gangs[key].pods[pod[1]]
            self._touch(key)
            self._drop_empty(key)

    def _touch(self, key: Key) -> None:
        self._gangs[key].changed()
        self._fresh.add(key)

    def _drop_empty(self, key: Key) -> None:
        gang = self._gangs[key]
        if not gang.pods and gang.answer is None:
            del self._gangs[key]
            self._fresh.discard(key)


def _changed(before: GpuPod, now: GpuPod) -> bool:
    """Whether it matters; what we write at a pod does not."""
    return _placed_by(before) != _placed_by(now)


def _placed_by(pod: GpuPod) -> GpuPod:
    return replace(pod, status="", node="", measured=(None, None))


def _whole(key: Key, gang: _Gang, waiting: list[GpuPod]) -> Asked | None:
    """What it asks for, if it is whole; else what it lacks is its reason until something happens to one of its pods."""
    try:
        size, others = size_of(waiting), gang.holding - len(waiting)
        if others:
            gang.reason = f"{others} of its pods run or end already: all of them have to wait together"
        elif len(waiting) != size:
            gang.reason = f"{len(waiting)} of its {size} pods are there"
        else:
            return asked(key, waiting)
    except ParseError as error:
        gang.reason = str(error)
    gang.due_at = inf
    return None


def _late(gang: _Gang, waiting: list[GpuPod], *, fresh: bool) -> Iterator[Step]:
    """What its time-out says, once."""
    if gang.expired and not fresh:
        return
    gang.expired = True
    reason = f"no place was found in time: {gang.reason or 'it was not tried'}"[:_LONGEST_REASON]
    opens = gang.timing is not None and gang.timing.on_timeout == "open"
    for pod in waiting:
        yield Lift(pod) if opens else Fail(pod, reason)


def _says(gang: _Gang, waiting: list[GpuPod]) -> Iterator[Say]:
    """Its reason, at the first of its pods, as long as it does not stand there."""
    first, reason = in_order(waiting)[0], gang.reason[:_LONGEST_REASON]
    if reason and first.status != reason:
        yield Say(first, reason)
