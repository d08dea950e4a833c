"""``Gangs``: what is done next for gangs of gated pods. A state machine: no I/O, and the time is an argument.

A gang is placed once all of its pods wait. Its GPUs are reserved for good before the first gate is lifted, under an ID
that follows from its name: who takes over in the middle finds the reservation and lifts the other gates by the same
answer. A pod that comes for one that is gone gets that one's rank and GPUs. The reservation ends with the last pod.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

from nvtopo.gangs.claims import GangClaims
from nvtopo.gangs.gang import Asked, Key, key_of
from nvtopo.gangs.moves import ALL_STAY, MOST_MOVES, Moves
from nvtopo.gangs.results import measured
from nvtopo.gangs.state import FIRST_SECONDS, LONGEST_SECONDS, Found, Gang, differ
from nvtopo.gangs.steps import (
    Attempt,
    ClaimFigures,
    Due,
    Figures,
    Plan,
    Refusal,
    Result,
    Step,
    in_turn,
    lifts,
    misfits,
)
from nvtopo.placement.device_claims import DeviceClaim
from nvtopo.placement.pods import GpuPod, PodEvent, PodGone, PodSeen, PodsListed, in_order
from nvtopo.placement.result import Assignment, NoFit, PlacementResult

ORPHAN_SECONDS: Final = 30.0
"""After a change of leaders, until a reservation whose pods were not seen is given back: a watch may lag."""
_LARGEST_EXPONENT: Final = 16
_NO_CLAIMS: Final = "its pods ask for GPUs by claims, for which the aggregator needs --gang-claims"


class Gangs:
    """All gangs. Until ``begin`` nothing is known of reservations, and nothing is to be done."""

    def __init__(self, claims: GangClaims | None = None, moves: Moves = ALL_STAY) -> None:
        """``claims`` makes those of pods that ask for GPUs by claim; without it no such gang is placed."""
        self._claims, self._moves = claims, moves
        self._gangs: dict[Key, Gang] = {}
        self._of_uid: dict[tuple[str, str], Key] = {}
        """Namespace and UID of a pod → its gang."""
        self._keys: dict[tuple[str, str], Key] = {}
        self._orphans: dict[str, Found] = {}
        self._fresh: set[Key] = set()
        self._listed = False
        self._begun = False
        self._given_back = 0
        self.moved = 0  # ranks of placed gangs that got another place

    @property
    def figures(self) -> Figures:
        """At this moment."""
        placed = sum(gang.answer is not None for gang in self._gangs.values())
        waiting = sum(gang.answer is None and bool(gang.waiting) for gang in self._gangs.values())
        return Figures(waiting, placed)

    @property
    def claim_figures(self) -> ClaimFigures:
        """Of the barrier at this moment."""
        held = sum(gang.answer is not None and gang.held for gang in self._gangs.values())
        return ClaimFigures(held, self._given_back)

    @property
    def results(self) -> tuple[Result, ...]:
        """What gangs measured, of a limited number of them."""
        return measured(self._gangs)

    def fold(self, event: PodEvent) -> None:
        """What happened to a pod."""
        for owner in self._claims.holders.fold(event) if self._claims is not None else ():
            if owner in self._of_uid:
                self._touch(self._of_uid[owner])
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

    def list_claims(self, claims: Mapping[str, DeviceClaim]) -> tuple[tuple[str, str], ...]:
        """All ResourceClaims there are; which of ours are gone."""
        if self._claims is None:
            return ()
        gone = self._claims.own.list(claims)
        self._claims.listed = True
        for key in [key for key, gang in self._gangs.items() if gang.by_claim]:
            self._touch(key)
        return gone

    def see_claim(self, key: tuple[str, str], claim: DeviceClaim | None) -> None:
        """One that came, changed or went."""
        if self._claims is None:
            return
        pod = self._claims.own.pod_of(key) or (claim.pod if claim is not None else "")
        if claim is None:
            self._claims.own.forget(key)
        else:
            self._claims.own.see(claim)
        gang = self._of_uid.get((key[0], pod))
        if gang is not None:
            self._touch(gang)

    def refuse(self, refusal: Refusal) -> None:
        """The API server does not take a claim."""
        key = self._of_uid.get((refusal.namespace, refusal.pod))
        if key is not None and self._gangs[key].answer is not None:
            self._gangs[key].refused = refusal
            self._fresh.add(key)

    def stir_held(self, by: DeviceClaim | None = None) -> None:
        """Claims hold more GPUs than before: gangs that the barrier holds are looked at.

        Those that a gang's own claim holds were reserved for it, and no other gang is looked at for them.
        """
        own = None if by is None else self._of_uid.get((by.namespace, by.pod))
        if by is None or own is None or by.reservation != own.id:
            self._fresh.update(key for key, gang in self._gangs.items() if gang.look_at < inf)

    def look_again(self) -> None:
        """Something else is known of nodes now: gangs whose pods still wait are looked at."""
        waiting = ((key, gang) for key, gang in self._gangs.items() if gang.waiting)
        self._fresh.update(key for key, gang in waiting if gang.by_claim or gang.answer is not None)

    def begin(self, reservations: Mapping[str, Assignment], now: float) -> None:
        """A new term, or what the ledger has was read again: these are all reservations of gangs."""
        found = {key: Found(answer, now + ORPHAN_SECONDS) for key, answer in reservations.items()}
        known = {key: one for key, one in self._orphans.items() if key in found}
        self._orphans = found | known
        for key, gang in self._gangs.items():
            gang.adopt(self._orphans.pop(key.id, None))
        if self._claims is not None:
            self._claims.holders.begin()
        self._fresh.update(self._gangs)
        self._begun = True

    def stir(self, now: float) -> None:
        """GPUs may have become free: who waits is tried again, if it was not a moment ago."""
        for gang in self._gangs.values():
            gang.due_at = min(gang.due_at, max(now, gang.tried_at + FIRST_SECONDS))
            if gang.move_at < inf:
                gang.move_at = gang.due_at

    def placed(self, key: Key, answer: PlacementResult | str, now: float) -> None:
        """What came of an attempt; a text if it failed."""
        gang = self._gangs.get(key)
        if gang is None:  # its pods went meanwhile
            if isinstance(answer, Assignment):
                self._orphans[key.id] = Found(answer, now)
            return
        self._fresh.add(key)
        gang.tried_at = now
        if isinstance(answer, Assignment):
            if gang.answer is not None:
                self.moved += sum(one not in gang.answer.ranks for one in answer.ranks)
                gang.due_at = now + FIRST_SECONDS
            gang.has_place(answer)
            gang.reason, gang.attempts = "", 0
            return
        gang.reason = answer.reason if isinstance(answer, NoFit) else answer
        gang.due_at = now + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(gang.attempts, _LARGEST_EXPONENT))
        gang.attempts += 1

    def released(self, reservation: str) -> None:
        """It is no longer in the ledger."""
        self._orphans.pop(reservation, None)
        for key in [key for key in self._gangs if key.id == reservation]:
            gang = self._gangs[key]
            self._given_back += bool(gang.lost)
            gang.reason = gang.lost
            gang.has_place(None)
            self._touch(key)
            self._drop_empty(key)

    def seconds_until_next(self, now: float) -> float:
        """How long nothing is to be done if nothing happens."""
        moments = [found.keep_until for found in self._orphans.values()]
        for gang in self._gangs.values():
            if gang.answer is not None:
                moments += [gang.look_at, gang.move_at] if gang.holding else [gang.keep_until]
            elif (waiting := gang.waiting) and not gang.expired:
                moments += [gang.next_attempt, gang.deadline(waiting)]
        return max(0.0, min(moments, default=inf) - now)

    def plan(self, now: float) -> Plan:
        """What is to be done now. A step is named once, and again after ``begin`` or a change of one of its pods."""
        if not (self._listed and self._begun and (self._claims is None or self._claims.listed)):
            return Plan((), (), ())
        ended = [key for key, found in self._orphans.items() if found.keep_until <= now]
        due: list[Due] = []
        moving: list[Attempt] = []
        steps: list[Step] = [] if self._claims is None else [*self._claims.holders.strays(now)]
        for key, gang in self._gangs.items():
            if gang.answer is not None:
                if gang.holding:
                    gang.keep_until = 0.0  # what is seen to end from here on has ended
                    steps += self._round(key, gang, gang.answer, now, moving)
                if gang.lost or (not gang.holding and gang.keep_until <= now):
                    ended.append(key.id)
            elif waiting := gang.waiting:
                (attempt, found) = self._unplaced(key, gang, waiting, now)
                steps += found
                if attempt is not None:
                    oldest = min(pod.created for pod in waiting)
                    due.append(Due(attempt, in_order(waiting)[0].priority, oldest, gang.tried_at))
        self._fresh.clear()
        return Plan(tuple(ended), (*moving[:MOST_MOVES], *in_turn(due)), tuple(steps))

    def _unplaced(
        self, key: Key, gang: Gang, waiting: Sequence[GpuPod], now: float
    ) -> tuple[Attempt | None, Iterable[Step]]:
        """A gang without a place: whether it is tried now, and its next steps."""
        if gang.deadline(waiting) <= now:
            return None, gang.late(waiting, self._claims, fresh=key in self._fresh)
        clearing = None if self._claims is None else self._claims.clearing(waiting)
        if clearing is not None:
            gang.due_at = inf  # until one of them is gone
            return None, clearing if key in self._fresh else ()
        asked = self._whole(key, gang, waiting, now) if gang.next_attempt <= now else None
        attempt = None if asked is None else Attempt(key, asked, closed=self._moves.closed(waiting))
        return attempt, gang.says(waiting) if attempt is None else ()

    def _round(self, key: Key, gang: Gang, answer: Assignment, now: float, moving: list[Attempt]) -> list[Step]:
        """The next steps of a gang that has its place."""
        if key not in self._fresh and min(gang.look_at, gang.move_at) > now:
            return []
        found = self._moves.round(key, gang, answer, now, self._claims.own if self._claims else None)
        moving += found.attempts
        gang.lost, gang.move_at = found.lost, found.until
        steps: list[Step] = [*found.says, *misfits(found.pods, answer), *lifts(key, found.places)]
        if gang.by_claim and self._claims is not None and not gang.lost:
            place = gang.granted(answer, now)
            steps += gang.take(self._claims.round(key, found.pods, place, now, away=found.away), now)
        return steps

    def _whole(self, key: Key, gang: Gang, waiting: Sequence[GpuPod], now: float) -> Asked | None:
        """What it asks for, if it is whole and can be placed; else why not is its reason."""
        why = ""
        if gang.by_claim:
            why = self._claims.unready_for(waiting) if self._claims is not None else _NO_CLAIMS
        if why:
            gang.reason, gang.due_at = why, now + LONGEST_SECONDS
            return None
        return gang.whole(key, waiting)

    def _see(self, pod: GpuPod) -> None:
        key = key_of(pod) if pod.gang else None
        before = self._keys.get(pod.key)
        if before is not None and before != key:
            self._forget(pod.key)
        if key is None:
            return
        if key not in self._gangs:
            self._gangs[key] = Gang(self._orphans.pop(key.id, None))
        gang = self._gangs[key]
        known = gang.put(pod)
        self._keys[pod.key] = key
        if known is not None:  # it may be another pod of that name
            self._of_uid.pop((known.namespace, known.uid), None)
        self._of_uid[pod.namespace, pod.uid] = key
        if known is None or differ(known, pod):
            self._touch(key)

    def _forget(self, pod: tuple[str, str]) -> None:
        key = self._keys.pop(pod, None)
        if key is not None:
            gone = self._gangs[key].drop(pod[1])
            self._of_uid.pop((gone.namespace, gone.uid), None)
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
