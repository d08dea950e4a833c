"""Which pod of a gang gets which of its ranks: a pure function of its pods and its place.

A pod keeps the rank that it has. One that comes for another takes the rank of that one, and no other pod moves.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping

from nvtopo.gangs.gang import Key
from nvtopo.placement.pods import GpuPod, in_order
from nvtopo.placement.result import Assignment, Rank

Ranks = Mapping[int, Rank]


def places(key: Key, pods: Collection[GpuPod], answer: Assignment) -> Iterator[tuple[GpuPod, Rank]]:
    """The pods that wait and have their rank or one that is free, in the order of ranks."""
    ranks = {rank.rank: rank for rank in answer.ranks}
    ours = [pod for pod in pods if pod.reservation == key.id and pod.rank in ranks]
    taken = {pod.rank for pod in ours if not pod.ended and not pod.waiting}
    free = {number: rank for number, rank in ranks.items() if number not in taken}
    found = _kept(ours, free)
    kept = {pod.name for pod in found.values()}
    found |= _ranked(
        [pod for pod in pods if pod.waiting and pod.name not in kept],
        ours,
        {number: rank for number, rank in free.items() if number not in found},
    )
    for number in sorted(found):
        yield found[number], ranks[number]


def _kept(ours: Collection[GpuPod], free: Ranks) -> dict[int, GpuPod]:
    """The pods whose gates are lifted while the barrier holds them; what a gated pod says of its rank is not ours."""
    found: dict[int, GpuPod] = {}
    for pod in in_order(pod for pod in ours if pod.waiting and not pod.gated):
        if pod.rank is not None and pod.rank in free and _fits(pod, free[pod.rank]):
            found.setdefault(pod.rank, pod)
    return found


def _ranked(pods: Collection[GpuPod], ours: Collection[GpuPod], free: Ranks) -> dict[int, GpuPod]:
    """Rank → the pod that gets it, for pods that have none.

    A pod gets the rank that its index says, as it says those of the others. Those of which nothing says it are taken
    in order once there is one for each rank; those that are still to come are waited for. A rank whose pod ended may
    stay without one.
    """
    says = _Indices(pods, ours, len(free))
    leaving = {pod.rank for pod in ours if pod.leaving and not pod.ended}
    found: dict[int, GpuPod] = {}
    others: list[GpuPod] = []
    for pod in in_order(pods):
        number = says.rank(pod)
        if number is not None and number in free and number not in found and _fits(pod, free[number]):
            found[number] = pod
        elif number not in leaving:
            others.append(pod)
    ended = {pod.rank for pod in ours if pod.ended}
    left = sorted(free.keys() - found.keys(), key=lambda number: (number in ended, number))
    indexed = any(pod.order for pod in others)
    if len(others) == len(left) or (not indexed and len(others) >= sum(number not in ended for number in left)):
        found |= _filled(others, free, sorted(left[: len(others)]))
    return found


class _Indices:
    """What the pods' indices say of their ranks; nothing at first, when there is a pod for each rank."""

    def __init__(self, pods: Collection[GpuPod], ours: Collection[GpuPod], free: int) -> None:
        self._known = {pod.order: pod.rank for pod in ours if pod.order and pod.rank is not None}
        shifts = {order[0] - rank for order, rank in self._known.items() if len(order) == 1} or {0}
        self._shift = shifts.pop() if len(shifts) == 1 and (ours or len(pods) != free) else None
        """Ranks may begin at another index than 0; None if indices are no ranks."""

    def rank(self, pod: GpuPod) -> int | None:
        """None if nothing says it."""
        if pod.order in self._known:
            return self._known[pod.order]
        return pod.order[0] - self._shift if self._shift is not None and len(pod.order) == 1 else None


def _filled(pods: Collection[GpuPod], free: Ranks, numbers: list[int]) -> dict[int, GpuPod]:
    """In order, each pod with the first rank that has as many GPUs as it asks for."""
    of_size: dict[int, deque[int]] = {}
    for number in numbers:
        of_size.setdefault(len(free[number].gpus), deque()).append(number)
    return {of_size[pod.asks].popleft(): pod for pod in pods if of_size.get(pod.asks)}


def _fits(pod: GpuPod, rank: Rank) -> bool:
    return pod.asks == len(rank.gpus)
