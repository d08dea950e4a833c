"""``GangMoves``: which pods of a gang that has its place can't go there, and get another one. No I/O, no clock.

A pod that comes for one that is gone waits at its gate. If the place of the one before it can't be used, that part of
the gang is placed anew and the others stay as they are. It is tried until it fits: nothing is given back, since the
others run. Only a gang of which all pods wait is placed anew as a whole.
"""

from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.gangs.gang import Key, asked
from nvtopo.gangs.lost import GRACE_SECONDS, Lost
from nvtopo.gangs.ranks import places
from nvtopo.gangs.state import LONGEST_REASON, LONGEST_SECONDS, Gang
from nvtopo.gangs.steps import Attempt, Say
from nvtopo.placement.device_claims import OwnClaims
from nvtopo.placement.pods import GpuPod, Toleration, in_order
from nvtopo.placement.result import Assignment, Rank

MOST_MOVES: Final = 16
"""In one step; the others are next."""
_LOOK_SECONDS: Final = 1.0


class Facts(Protocol):
    """What is known of nodes now."""

    @property
    def settled(self) -> bool:
        """Whether no more is to be waited for: the Nodes are listed, or were not for too long."""

    def lost(self, pod: GpuPod, rank: Rank, *, degraded: bool) -> Lost | None:
        """Why a pod can't have a place; None if it can."""

    def node_lost(self, pod: GpuPod, node: str) -> Lost | None:
        """Why a pod can't be on a node; None if it can."""

    def closed(self, tolerations: tuple[Toleration, ...]) -> Mapping[str, str]:
        """The nodes where pods that tolerate so much can't go, and why."""


class Moving(NamedTuple):
    """What is to be done for the parts of a gang that can't have their places."""

    pods: tuple[GpuPod, ...]
    """Of the gang; those that are to end on nodes where nothing ends any more have ended."""
    places: tuple[tuple[GpuPod, Rank], ...] = ()
    """The pods that wait and can have their places, with these."""
    away: frozenset[str] = frozenset()
    """UIDs of pods that wait and can't have their places now."""
    says: tuple[Say, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    """The one that is to be made, if one is."""
    until: float = inf
    """When it is looked at again."""
    lost: str = ""
    """Why all of it is to be placed anew; empty if it is not."""


class Moves(Protocol):
    """What ``Gangs`` needs of ``GangMoves``."""

    def round(self, key: Key, gang: Gang, answer: Assignment, now: float, own: OwnClaims | None) -> Moving:
        """The next steps of a gang whose GPUs are reserved; ``own`` are the claims that were made for its pods."""

    def closed(self, pods: Collection[GpuPod]) -> Mapping[str, str]:
        """The nodes where one of these pods can't go, and why."""


class _AllStay:
    """Where nobody follows nodes: each pod waits for its place."""

    def round(self, key: Key, gang: Gang, answer: Assignment, _now: float, _own: OwnClaims | None) -> Moving:
        pods = tuple(gang.pods.values())
        return Moving(pods, tuple(places(key, pods, answer)))

    def closed(self, _pods: Collection[GpuPod]) -> Mapping[str, str]:
        return {}


ALL_STAY: Final[Moves] = _AllStay()


class _Part(NamedTuple):
    pod: GpuPod
    rank: Rank
    lost: Lost


class GangMoves:
    """Of all gangs."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def round(self, key: Key, gang: Gang, answer: Assignment, now: float, own: OwnClaims | None) -> Moving:
        """The next steps of a gang whose GPUs are reserved; ``own`` are the claims that were made for its pods."""
        everyone = tuple(gang.pods.values())
        waiting = gang.waiting
        if not waiting:
            return Moving(everyone)
        if not self._facts.settled:
            return Moving(everyone, away=frozenset(pod.uid for pod in waiting), until=now + _LOOK_SECONDS)
        ending = {pod.uid: self._ends_at(key, pod, answer) for pod in everyone if pod.leaving}
        pods = tuple(pod if ending.get(pod.uid, inf) > now else replace(pod, ended=True) for pod in everyone)
        next_end = min((end for end in ending.values() if end > now), default=inf)
        placed = tuple(places(key, pods, answer))
        parts = tuple(self._parts(key, placed, own))
        if not parts:
            return Moving(pods, placed, until=next_end)
        found = self._moving(key, gang, pods, parts, now)
        given = own is not None and any(claim.allocated for pod in waiting for claim in own.of(pod))
        if not given and len(waiting) == gang.holding == len(answer.ranks):  # none of it runs: whole or not at all
            found = found._replace(away=frozenset(pod.uid for pod in waiting))
        else:
            found = found._replace(lost="")
        there = tuple(one for one in placed if one[0].uid not in found.away)
        return found._replace(places=there, until=min(found.until, next_end))

    def closed(self, pods: Collection[GpuPod]) -> Mapping[str, str]:
        """The nodes where one of them can't go, and why."""
        found = [self._facts.closed(tolerations) for tolerations in {pod.tolerations for pod in pods}]
        return found[0] if len(found) == 1 else {node: why for each in found for node, why in each.items()}

    def _moving(self, key: Key, gang: Gang, pods: tuple[GpuPod, ...], parts: tuple[_Part, ...], now: float) -> Moving:
        """Of parts that can't have their places. ``lost`` is said whenever they fit nowhere."""
        away = frozenset(part.pod.uid for part in parts)
        due = {part.pod.uid: part for part in parts if part.lost.keep_until <= now}
        until = min((part.lost.keep_until for part in parts if part.lost.keep_until > now), default=inf)
        first = in_order([part.pod for part in parts if part.pod.uid in (due or away)])[0]
        reason = next(part.lost.reason for part in parts if part.pod is first)
        if not due:
            return Moving(
                pods, away=away, says=_says(first, f"{reason}; its place is kept for {GRACE_SECONDS:g} s"), until=until
            )
        if gang.due_at <= now:
            try:
                wanted = asked(key, [pod for pod in pods if not pod.ended])
            except ParseError as error:
                return Moving(pods, away=away, says=_says(first, f"{reason}; {error}"), until=now + LONGEST_SECONDS)
            ranks = tuple(part.rank for part in due.values())
            closed = self.closed([part.pod for part in due.values()])
            return Moving(pods, away=away, attempts=(Attempt(key, wanted, ranks, closed),), until=now)
        reason = f"{reason}; {gang.reason}"[:LONGEST_REASON]
        lost = reason if gang.attempts else ""
        return Moving(pods, away=away, says=_says(first, reason), until=min(until, gang.due_at), lost=lost)

    def _parts(self, key: Key, placed: tuple[tuple[GpuPod, Rank], ...], own: OwnClaims | None) -> Iterator[_Part]:
        """The pods that wait and can't have their places. One that has its GPUs already keeps them."""
        for pod, rank in placed:
            if own is None or not any(claim.allocated for claim in own.of(pod)):
                lost = self._facts.lost(pod, rank, degraded=False)
                if lost is not None and _allows_degraded(key, pod):
                    lost = self._facts.lost(pod, rank, degraded=True)
                if lost is not None:
                    yield _Part(pod, rank, lost)

    def _ends_at(self, key: Key, pod: GpuPod, answer: Assignment) -> float:
        """When a pod that is to end holds its rank no more, though it is there: never, where it can still end.

        Nothing ends on a node that is gone or not heard. Kubernetes has made another pod for it by then.
        """
        if not pod.node or pod.reservation != key.id:
            return inf
        if not any(rank.rank == pod.rank and rank.node == pod.node for rank in answer.ranks):
            return 0.0  # its rank has another place by now
        lost = self._facts.node_lost(pod, pod.node)
        return lost.keep_until if lost is not None and lost.dead else inf


def _allows_degraded(key: Key, pod: GpuPod) -> bool:
    try:
        return "allowDegraded" in pod.wishes and asked(key, [pod]).parsed.allow_degraded
    except ParseError:
        return False


def _says(pod: GpuPod, reason: str) -> tuple[Say, ...]:
    said = reason[:LONGEST_REASON]
    return () if pod.status == said else (Say(pod, said),)
