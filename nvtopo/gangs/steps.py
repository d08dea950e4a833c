"""What is done to gangs and their pods, one step at a time."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.gangs.gang import Asked, Key
from nvtopo.placement.device_claims import DeviceClaim
from nvtopo.placement.pods import GpuPod
from nvtopo.placement.result import Assignment, Rank

MOST_ATTEMPTS: Final = 64
"""Placed in one step; the others are next."""
_BY_PRIORITY: Final = 48


class Attempt(NamedTuple):
    """A gang that is to be placed now, or a part of it anew."""

    key: Key
    asked: Asked
    move: tuple[Rank, ...] = ()
    """The ranks that need another place, as they are reserved; none if all of the gang is to be placed."""
    closed: Mapping[str, str] = MappingProxyType({})
    """Node → why its pods can't go there."""


class Due(NamedTuple):
    """A gang that may be tried now, and what decides about its turn."""

    attempt: Attempt
    priority: int
    created: float
    tried_at: float


def in_turn(due: Collection[Due]) -> tuple[Attempt, ...]:
    """Those that are tried in one step: by priority, then by age.

    The last places are for those that were not tried for longest: many gangs that fit nowhere hold up nobody.
    """
    ordered = sorted(due, key=lambda one: (-one.priority, one.created))
    first, behind = ordered[:_BY_PRIORITY], sorted(ordered[_BY_PRIORITY:], key=lambda one: one.tried_at)
    return tuple(one.attempt for one in (*first, *behind[: MOST_ATTEMPTS - _BY_PRIORITY]))


class Lift(NamedTuple):
    """A pod whose gate is to be lifted; without a rank it is left to kube-scheduler."""

    pod: GpuPod
    reservation: str = ""
    rank: Rank | None = None
    claim: str = ""
    """The claim that says its node too, and by which the barrier holds it."""


class Say(NamedTuple):
    """What is to stand at a pod: why its gang waits."""

    pod: GpuPod
    reason: str


class Fail(NamedTuple):
    """A pod that is to fail, since its gang found no place in time."""

    pod: GpuPod
    reason: str


class MakeClaim(NamedTuple):
    """A claim that is to be made for a pod; without a rank it is one of any GPUs."""

    pod: GpuPod
    name: str
    reservation: str = ""
    rank: Rank | None = None
    barrier: bool = False
    """Whether it asks for the device that holds its pod until the gang is whole."""


class OpenClaim(NamedTuple):
    """A claim whose pod may be bound."""

    claim: DeviceClaim


class FreeClaim(NamedTuple):
    """A claim whose devices kube-scheduler is to take back."""

    claim: DeviceClaim


class DropClaim(NamedTuple):
    """A claim without devices that is to be deleted."""

    claim: DeviceClaim


class LeaveClaim(NamedTuple):
    """A claim that is not to be made any more, if it was not made yet."""

    namespace: str
    name: str


class MakeHolder(NamedTuple):
    """A pod that is to hold the claim of a gang's pod, on the claim's node."""

    pod: GpuPod
    """The gang's."""
    claim: str
    name: str
    node: str


class DropHolder(NamedTuple):
    """A holder that is to be deleted."""

    holder: GpuPod
    at_once: bool = False
    """Whether its kubelet is not waited for any longer."""


class LeaveHolder(NamedTuple):
    """A holder that is not to be made any more, if it was not made yet."""

    namespace: str
    name: str


HolderStep = MakeHolder | DropHolder | LeaveHolder
ClaimStep = MakeClaim | OpenClaim | FreeClaim | DropClaim
Step = Lift | Say | Fail | ClaimStep | LeaveClaim | HolderStep


class Refusal(NamedTuple):
    """A claim, or the pod that is to hold it, that the API server does not take: for a quota, a policy or a webhook."""

    namespace: str
    pod: str
    """The UID of the pod that it is for."""
    claim: str
    """The name of what is refused."""
    reason: str


class Plan(NamedTuple):
    """What is to be done now."""

    ended: tuple[str, ...]
    """Reservations whose pods are all gone."""
    attempts: tuple[Attempt, ...]
    steps: tuple[Step, ...]


class Result(NamedTuple):
    """What a placed gang measured, beside what was predicted of it; None is not known."""

    namespace: str
    gang: str
    level: str
    predicted_bus: int | None
    measured_bus: float | None
    predicted_seconds: float
    """The whole cost of the placement, as predicted."""
    measured_step: float | None


class Figures(NamedTuple):
    """How many gangs there are."""

    waiting: int
    placed: int


class ClaimFigures(NamedTuple):
    """How the barrier does."""

    held: int
    """Gangs whose pods it holds."""
    given_back: int
    """How often a gang's GPUs were given back so far."""


def lifts(key: Key, placed: Iterable[tuple[GpuPod, Rank]]) -> Iterator[Lift]:
    """The gates that are still to be lifted of pods without claims."""
    return (Lift(pod, key.id, rank) for pod, rank in placed if not pod.claim)


def misfits(pods: Collection[GpuPod], answer: Assignment) -> Iterator[Say]:
    """Pods that ask for other numbers of GPUs than any rank has: they came for others, and wait in vain."""
    sizes = {len(rank.gpus) for rank in answer.ranks}
    for pod in pods:
        if pod.gated and pod.asks not in sizes:
            there = " or ".join(map(str, sorted(sizes)))
            reason = (
                f"its gang has its place: expected a pod that asks for {there} GPUs, got one that asks for {pod.asks}"
            )
            if pod.status != reason:
                yield Say(pod, reason)
