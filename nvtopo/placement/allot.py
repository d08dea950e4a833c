"""From the cheapest entry of a search to ranks: which pod is on which host, with which GPUs."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.placement import staged
from nvtopo.placement.exact import Candidate
from nvtopo.placement.fleet import Domain, Host, Path
from nvtopo.placement.frontier import Entry, Held
from nvtopo.placement.request import Request
from nvtopo.placement.result import Rank


class Share(NamedTuple):
    """What one host takes of the gang."""

    domain: Domain
    pods: int
    leader: bool

    @property
    def host(self) -> Host:
        """The host itself."""
        assert self.domain.host is not None
        return self.domain.host


def shares(candidate: Candidate, request: Request, slice_level: int | None) -> tuple[Share, ...]:
    """The hosts that are used, in physical order, with their pods: exactly as many as the gang has."""
    splitter = _Splitter(request, slice_level)
    found = splitter.split(candidate.domain, candidate.entry, candidate.held, request.pods)
    return tuple(share for share in found if share.pods or share.leader)


class _Splitter:
    def __init__(self, request: Request, slice_level: int | None) -> None:
        self._size = 1 if request.slice is None else request.slice.pods
        self._tail = request.pods % self._size
        self._slice_level = slice_level

    def split(self, domain: Domain, entry: Entry, held: Held, pods: int) -> Iterator[Share]:
        """``pods`` over the parts of an entry; the largest are filled, so that what is left over is in the smallest."""
        if domain.host is not None:
            yield Share(domain, pods, held[0])
            return
        parts = tuple(entry.parts())
        above = self._slice_level is not None and domain.level > self._slice_level
        size, rest = (self._size, pods - (self._tail if held[1] else 0)) if above else (1, pods)
        given: dict[int, int] = {}
        for index in sorted(range(len(parts)), key=lambda index: -parts[index].entry.pods):
            tail = self._tail if above and parts[index].held[1] else 0
            taken = min((parts[index].entry.pods - tail) // size * size, rest)
            given[index], rest = taken + tail, rest - taken
        for index, part in enumerate(parts):
            yield from self.split(part.domain, part.entry, part.held, given[index])


def ranks(found: tuple[Share, ...], request: Request) -> tuple[Rank, ...]:
    """The ranks: the leader first, then pod by pod in the order of the hosts."""
    leaders: list[Rank] = []
    workers: list[Rank] = []
    first = 0 if request.leader_gpus is None else 1
    for share in found:
        left = [list(group) for group in share.host.free]
        if share.leader and request.leader_gpus is not None:
            gpus = take_gpus(left, request.leader_gpus, share.host, keep=request.gpus)
            leaders.append(Rank(rank=0, node=share.host.name, gpus=gpus, leader=True))
        for _pod in range(share.pods):
            gpus = take_gpus(left, request.gpus, share.host)
            workers.append(Rank(rank=first + len(workers), node=share.host.name, gpus=gpus))
    if request.work.stage_pods == 1:
        return (*leaders, *workers)
    return in_stages(
        workers, [share.domain.path for share in found for _pod in range(share.pods)], request.work.stage_pods
    )


def in_stages(workers: Sequence[Rank], paths: Sequence[Path], stage_pods: int) -> tuple[Rank, ...]:
    """The ranks such that each stage's are consecutive."""
    order = staged.in_stages(paths, stage_pods)
    return tuple(replace(workers[pod], rank=rank) for rank, pod in enumerate(order))


def gpus_of_pods(host: Host, gpus: int, pods: int) -> list[tuple[int, ...]]:
    """GPUs for pods of one size on a host that has room for them."""
    if len(host.free) == 1:
        (group,) = host.free
        return [group[first : first + gpus] for first in range(0, pods * gpus, gpus)]
    left = [list(group) for group in host.free]
    return [take_gpus(left, gpus, host) for _pod in range(pods)]


def take_gpus(left: list[list[int]], gpus: int, host: Host, keep: int = 1) -> tuple[int, ...]:
    """GPUs for one pod, out of ``left``: of the group that is broken up the least by it, the first ones.

    ``keep`` is the size of pods that come afterwards: a group that loses least room for them is taken first.
    """
    if gpus <= host.group_size:
        fitting = [group for group in left if len(group) >= gpus]
        group = min(fitting, key=lambda group: (len(group) // keep - (len(group) - gpus) // keep, len(group)))
        taken = group[:gpus]
        del group[:gpus]
        return tuple(taken)
    found: list[int] = []
    for group in sorted(left, key=len):
        while group and len(found) < gpus:
            found.append(group.pop(0))
    return tuple(sorted(found))
