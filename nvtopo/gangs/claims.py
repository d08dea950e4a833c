"""``GangClaims``: which claims the pods of gangs get, and when the barrier lets a gang go. No I/O, no clock.

A pod that asks for GPUs by claim gets one that names those that were chosen, before its gate is lifted. The name of the
claim follows from the reservation and the pod: who takes over in the middle finds it, and makes the others.

Where there is a barrier, kube-scheduler gives each pod its GPUs and binds none until the claims of all have theirs and
are opened. Where there is none, and holders are asked for (``gangs.holders``), each claim gets one, and no gate is
lifted before all claims have their GPUs. If one does not get them, all are given back and the gang is placed anew. From
the first that is opened, lifted or bound on, nothing is given back any more.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from math import inf
from typing import Final, NamedTuple

from nvtopo.gangs.gang import Key
from nvtopo.gangs.holders import HolderPods
from nvtopo.gangs.ranks import places
from nvtopo.gangs.steps import (
    ClaimStep,
    DropClaim,
    DropHolder,
    FreeClaim,
    HolderStep,
    LeaveClaim,
    Lift,
    MakeClaim,
    OpenClaim,
    Refusal,
    Say,
)
from nvtopo.placement.device_claims import DeviceClaim, OwnClaims
from nvtopo.placement.pods import GATE, TEMPLATE, GpuPod, in_order
from nvtopo.placement.result import Assignment, Rank

BARRIER_SECONDS: Final = 120.0
"""From the last claim of a gang that was made, until all are given back if not all of them have their GPUs."""
_LATE: Final = "not all of its pods got their GPUs in time, so they are given back"
HOLD_SECONDS: Final = 600.0
"""From the placing of a gang, until its GPUs are given back if none of its pods may be bound by then. Its claims and
pods are its owner's, who may delete and edit them as often as they like."""
_LONGEST_NAME: Final = 200
_DIGITS: Final = 16
Holder = Callable[[str, int], tuple[str, str] | None]
"""Node and GPU → namespace and name of the claim that holds it."""


class Granted(NamedTuple):
    """Where a gang has its place."""

    answer: Assignment
    since: float = inf
    """When it was found to have it."""
    refused: Refusal | None = None
    """A claim that the API server does not take."""


class Round(NamedTuple):
    """What is to be done for a gang that has its place."""

    steps: tuple[Lift | ClaimStep | LeaveClaim | HolderStep, ...]
    lost: str = ""
    """Why it can't be bound where it is, and is to be placed anew; empty if it can."""
    refused: bool = False
    """Whether that is for a claim that is refused, as another one would be."""
    late: bool = False
    """Whether that is for the time it took."""
    until: float = inf
    """When it is looked at again, if nothing happens."""
    opened: bool = False
    """Whether its pods may be bound."""
    held: bool = False
    """Whether the barrier or its holders hold it."""


class _Wanted(NamedTuple):
    """A pod that waits, its place, and its claim if that is there."""

    pod: GpuPod
    rank: Rank
    name: str
    """Of its claim."""
    claim: DeviceClaim | None

    @property
    def is_good(self) -> bool:
        """Whether its claim is there and stays."""
        return self.claim is not None and not self.claim.leaving and not self.claim.failed

    @property
    def given(self) -> bool:
        """Whether it has its GPUs."""
        return self.claim is not None and self.claim.allocated and self.is_good


class GangClaims:
    """The claims of all gangs' pods; until they are listed nothing is known of them."""

    def __init__(
        self, holder: Holder, barrier: Callable[[Assignment], bool], holders: HolderPods | None = None
    ) -> None:
        """``barrier`` is whether there is one on all nodes of an answer; ``holders`` are for where there is none."""
        self._holder, self._barrier = holder, barrier
        self.holders = holders or HolderPods()
        self.own = OwnClaims()
        self.listed = False
        self.unready = ""
        """Why none is made now; empty if they are."""

    def round(
        self, key: Key, pods: Collection[GpuPod], place: Granted, now: float, *, away: Collection[str] = frozenset()
    ) -> Round:
        """The next steps of a gang whose GPUs are reserved; none for the pods ``away``, by UID: they have no place."""
        answer = place.answer
        wanted: list[_Wanted] = []
        steps: list[Lift | ClaimStep | HolderStep] = []
        for pod, rank in places(key, pods, answer):
            if pod.claim and pod.uid not in away:
                name = claim_name(pod, key.id, rank)
                mine = self.own.of(pod)
                wanted.append(_Wanted(pod, rank, name, next((one for one in mine if one.name == name), None)))
                steps += [step for one in mine if one.name != name for step in given_back(one)]
        clean = not steps
        for one in wanted:
            steps += self.holders.dropped(one.pod, one.name if one.claim is None or one.is_good else "")
        claims = [one.claim for one in wanted if one.claim is not None]
        barrier = claims[0].barrier if claims else self._barrier(answer)
        holding = self.holders.on and not barrier
        kept = [one for one in wanted if one.given and (not holding or self.holders.holds(one.pod, one.name))]
        opened = len(kept) == len(wanted) == len(answer.ranks) or self._is_opened(key, pods, claims)
        until = inf if opened else _until(wanted, place.since, guarded=barrier or holding)
        if not opened:
            rival, refused = self._rival(wanted, holding=holding), self._without(wanted, place.refused)
            late = _LATE if until <= now else ""
            if lost := rival or refused or late:
                return Round((*self._left(wanted),), lost, refused=lost == refused, late=lost == late)
        all_there = opened or len(claims) == len(wanted)
        for one in wanted if clean else ():
            if holding and not opened and all_there and one.is_good:
                steps += self.holders.made(one.pod, one.name, one.rank)
            else:
                steps += _next(key, one, barrier=barrier, holding=holding, all_there=all_there)
        if opened:
            steps += [OpenClaim(one.claim) for one in wanted if one.given and one.claim and _is_held(one.claim)]
        held = not opened and any(one.barrier or holding for one in claims)
        return Round(tuple(steps), until=until, opened=opened, held=held)

    def clearing(self, pods: Collection[GpuPod]) -> tuple[ClaimStep | HolderStep | Say, ...] | None:
        """What is to be done with claims and holders of pods that have no place; None if there is none."""
        found = [one for pod in pods for one in self.own.of(pod) if one.reservation]
        holders = [one for pod in pods for one in self.holders.of(pod)]
        if not (found or holders):
            return None
        drops: list[ClaimStep | HolderStep] = [DropHolder(one) for one in holders if not one.leaving]
        steps = (*drops, *(step for one in found for step in given_back(one)))
        return steps or tuple(_awaited(pods, f"the claim {found[0].name}" if found else f"the pod {holders[0].name}"))

    def opening(self, pod: GpuPod) -> MakeClaim | Lift:
        """The next step of a pod that is left to kube-scheduler: a claim of any GPUs first."""
        name = claim_name(pod, "", None)
        there = not pod.claim or any(one.name == name for one in self.own.of(pod))
        return Lift(pod) if there else MakeClaim(pod, name)

    def unready_for(self, waiting: Collection[GpuPod]) -> str:
        """Why no claim can be made for these pods; empty if they can."""
        for pod in waiting:
            if pod.claim_made and _SUFFIX not in pod.claim_made:  # it would not take ours
                said = f"Kubernetes made the claim {pod.claim_made} for {pod.name} of a template"
                return f"{said}: delete the template {TEMPLATE}{pod.claimed}, and these pods"
        return self.unready

    def _is_opened(self, key: Key, pods: Collection[GpuPod], claims: list[DeviceClaim]) -> bool:
        """Whether some of it runs, ran or may run; without a barrier, a pod that has its claim and no gate may."""
        for pod in pods:
            if pod.reservation == key.id and (pod.node or pod.ended):
                return True
            if GATE not in pod.gates:
                mine = [one.name for one in self.own.of(pod) if one.reservation == key.id and not one.barrier]
                if mine and (not pod.lifted_for or pod.lifted_for in mine):
                    return True
        return any(one.ready for one in claims)

    def _without(self, wanted: list[_Wanted], refused: Refusal | None) -> str:
        """Why it has no place for want of a claim or holder; empty if it has all."""
        if refused is None:
            return ""
        for one in wanted:
            if one.claim is None and one.name == refused.claim:
                return f"a claim is refused, so its GPUs are given back: {refused.reason}"
            if self.holders.is_refused(one.pod, one.name, refused.claim):
                return f"a pod that is to hold its GPUs is refused, so they are given back: {refused.reason}"
        return ""

    def _left(self, wanted: list[_Wanted]) -> Iterator[LeaveClaim | HolderStep]:
        """Nothing more is made for it."""
        for one in wanted:
            yield from self.holders.left(one.pod, one.name)
            if one.claim is None:
                yield LeaveClaim(one.pod.namespace, one.name)

    def _rival(self, wanted: list[_Wanted], *, holding: bool) -> str:
        """Who took a GPU of it; empty if nobody did."""
        if not (holding or any(one.claim is not None and one.claim.barrier for one in wanted)):
            return ""
        for one in wanted:
            mine = None if one.claim is None else one.claim.key
            holders = {self._holder(one.rank.node, gpu) for gpu in one.rank.gpus} - {None, mine}
            if holders and not one.given:
                return f"a GPU of {one.rank.node} that it was to have went to another claim: the gang is placed again"
        return ""


_SUFFIX: Final = ".nvtopo-"


def claim_name(pod: GpuPod, reservation: str, rank: Rank | None) -> str:
    """The name of a pod's claim: another pod and another place have another one."""
    place = "" if rank is None else f"{rank.node} {rank.gpus}"
    digest = hashlib.sha256(f"{reservation}\n{pod.uid}\n{place}".encode()).hexdigest()[:_DIGITS]
    return f"{pod.name[:_LONGEST_NAME].rstrip('-.')}{_SUFFIX}{digest}"


def given_back(claim: DeviceClaim) -> Iterator[ClaimStep]:
    """The next step until it is gone. What has devices is not deleted: kube-scheduler takes them back first."""
    if claim.allocated and claim.gang is not None:
        if not claim.failed:
            yield FreeClaim(claim)
    elif not claim.leaving:
        yield DropClaim(claim)


def _awaited(pods: Collection[GpuPod], what: str) -> Iterator[Say]:
    """All is done, and the gang is placed once it has come of it: who holds a claim up is to be found by its name."""
    first, reason = in_order(pods)[0], f"it waits until {what} of its earlier place is gone"
    if first.status != reason:
        yield Say(first, reason)


def _next(key: Key, wanted: _Wanted, *, barrier: bool, holding: bool, all_there: bool) -> Iterator[Lift | ClaimStep]:
    """The claim, then the gate. Where nothing holds a pod after that, all claims are to be there first.

    A pod whose claim is held says which it is, and needs no affinity: until it is bound it can still go elsewhere.
    """
    pod, claim = wanted.pod, wanted.claim
    if claim is None:
        yield MakeClaim(pod, wanted.name, key.id, wanted.rank, barrier)
    elif claim.leaving or claim.failed:
        yield from given_back(claim)
    else:
        by_claim = claim.barrier or (holding and all_there)
        if (pod.gated and (by_claim or all_there)) or (by_claim and pod.lifted_for != claim.name):
            yield Lift(pod, key.id, wanted.rank, claim.name if by_claim else "")


def _is_held(claim: DeviceClaim) -> bool:
    return claim.gang is not None and not claim.ready


def _until(wanted: list[_Wanted], since: float, *, guarded: bool) -> float:
    """When it is late. If nothing guards it, nothing tells what waits from what may be bound, once it has claims."""
    claims = [one.claim for one in wanted if one.claim is not None]
    made = [one.created for one in claims if guarded or one.barrier]
    held = since + HOLD_SECONDS if guarded or not claims else inf
    return min(max(made) + BARRIER_SECONDS, held) if made else held
