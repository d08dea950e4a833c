"""What is done to gangs and their pods, one step at a time."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from nvtopo.placement.gang import Asked, Key, ranked
from nvtopo.placement.pods import GpuPod
from nvtopo.placement.result import Assignment, Rank


class Attempt(NamedTuple):
    """A gang that is to be placed now."""

    key: Key
    asked: Asked


class Lift(NamedTuple):
    """A pod whose gate is to be lifted; without a rank it is left to kube-scheduler."""

    pod: GpuPod
    reservation: str = ""
    rank: Rank | None = None


class Say(NamedTuple):
    """What is to stand at a pod: why its gang waits."""

    pod: GpuPod
    reason: str


class Fail(NamedTuple):
    """A pod that is to fail, since its gang found no place in time."""

    pod: GpuPod
    reason: str


Step = Lift | Say | Fail


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


def lifts(key: Key, pods: Collection[GpuPod], answer: Assignment) -> Iterator[Lift]:
    """The gates that are still to be lifted, with the ranks that no pod has."""
    waiting = [pod for pod in pods if pod.gated]
    held = {pod.rank for pod in pods if not pod.ended and not pod.gated and pod.reservation == key.id}
    ranks = {rank.rank: rank for rank in answer.ranks if rank.rank not in held}
    for number, pod in ranked(waiting, ranks.keys()).items():
        if pod.gpus == len(ranks[number].gpus):
            yield Lift(pod, key.id, ranks[number])
