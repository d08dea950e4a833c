"""Where a gang goes, by several rules: ours, and those that it is compared with.

Each is asked only if the gang fits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from nvtopo.placement.board import Board, Take
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment, Rank
from nvtopo.placement.trace import Draw, Gang


class Wish(NamedTuple):
    """What a policy is asked for."""

    gang: Gang
    within: bool
    """All of the gang has to be in one domain of level 1."""


Policy = Callable[[Board, Wish, Draw], tuple[Rank, ...]]


def ours(board: Board, wish: Wish, _draw: Draw) -> tuple[Rank, ...]:
    """The fastest all-reduce there is (``State.place``)."""
    required = board.levels[1] if wish.within else None
    answer = board.state.place(Request(pods=wish.gang.pods, gpus=wish.gang.gpus, required=required))
    assert isinstance(answer, Assignment), answer
    return answer.ranks


def first_fit(board: Board, wish: Wish, _draw: Draw) -> tuple[Rank, ...]:
    """The first hosts in order; if the gang has to be within a domain, those of the first that holds it."""
    hosts: Iterable[int] = range(len(board.hosts))
    if wish.within:
        hosts = board.members(1, _that_hold(board, wish.gang)[0])
    return board.ranks(_filled(board.rooms(wish.gang.gpus), hosts, wish.gang.pods), wish.gang.gpus)


def best_fit(board: Board, wish: Wish, _draw: Draw) -> tuple[Rank, ...]:
    """By counts, as Kueue (BestFit) and Slurm (topology/tree): the domain with the least room that holds the gang.

    The closest level that has one; inside it the roomiest domains and hosts first, and the last one as tight as can be.
    """
    rooms, left, takes = board.rooms(wish.gang.gpus), wish.gang.pods, list[Take]()
    for level in range(1, len(board.levels)):
        outer = board.domain_rooms(level, wish.gang.gpus)
        holding = [domain for domain, room in enumerate(outer) if room >= wish.gang.pods]
        if holding:
            tight = min(holding, key=outer.__getitem__)
            break
    near = board.domain_rooms(1, wish.gang.gpus)
    for domain in _tight_last(near, board.inner(level, tight), wish.gang.pods):
        pods = min(left, near[domain])
        takes += _filled(rooms, _tight_last(rooms, board.members(1, domain), pods), pods)
        left -= pods
    return board.ranks(takes, wish.gang.gpus)


def random(board: Board, wish: Wish, draw: Draw) -> tuple[Rank, ...]:
    """Each pod on any host that has room, as a scheduler that knows no topology and does not score."""
    hosts: Sequence[int] = range(len(board.hosts))
    if wish.within:
        holding = _that_hold(board, wish.gang)
        hosts = board.members(1, holding[int(draw.random() * len(holding))])
    rooms = board.rooms(wish.gang.gpus)
    left = {host: rooms[host] for host in hosts if rooms[host]}
    names, takes = list(left), dict[int, int]()
    for _pod in range(wish.gang.pods):
        at = int(draw.random() * len(names))
        host = names[at]
        takes[host] = takes.get(host, 0) + 1
        left[host] -= 1
        if not left[host]:
            names[at] = names[-1]
            names.pop()
    return board.ranks(takes.items(), wish.gang.gpus)


def stock(board: Board, wish: Wish, draw: Draw) -> tuple[Rank, ...]:
    """kube-scheduler's default score, LeastAllocated: each pod on the host whose share of free GPUs is largest.

    Hosts of equal score are drawn. A gang that has to be within a domain goes to the one whose share is largest.
    """
    hosts: Iterable[int] = range(len(board.hosts))
    if wish.within:
        hosts = board.members(1, max(_that_hold(board, wish.gang), key=board.share_free))
    rooms, takes = board.rooms(wish.gang.gpus), dict[int, int]()
    heap = [(-_score(board, host, 0), draw.random(), host) for host in hosts if rooms[host]]
    heapify(heap)
    for _pod in range(wish.gang.pods):
        _score_now, _tie, host = heappop(heap)
        takes[host] = takes.get(host, 0) + 1
        if takes[host] < rooms[host]:
            heappush(heap, (-_score(board, host, takes[host] * wish.gang.gpus), draw.random(), host))
    return board.ranks(takes.items(), wish.gang.gpus)


def _score(board: Board, number: int, taken: int) -> int:
    host = board.hosts[number]
    return (host.free_gpus - taken) * 100 // (sum(map(len, host.groups)) or 1)


def _that_hold(board: Board, gang: Gang) -> list[int]:
    return [domain for domain, room in enumerate(board.domain_rooms(1, gang.gpus)) if room >= gang.pods]


def _filled(rooms: Sequence[int], hosts: Iterable[int], pods: int) -> list[Take]:
    """Hosts as they come, each filled before the next."""
    takes: list[Take] = []
    for host in hosts:
        if pods and rooms[host]:
            takes.append((host, min(pods, rooms[host])))
            pods -= takes[-1][1]
    return takes


def _tight_last(rooms: Sequence[int], places: Iterable[int], pods: int) -> list[int]:
    """The roomiest places first, and for what is left the one with the least room that holds it."""
    ordered = sorted((place for place in places if rooms[place]), key=lambda place: -rooms[place])
    for at, place in enumerate(ordered):
        if rooms[place] >= pods:
            tight = min((other for other in ordered[at:] if rooms[other] >= pods), key=rooms.__getitem__)
            return [*ordered[:at], tight]
        pods -= rooms[place]
    return ordered


POLICIES: Final[Mapping[str, Policy]] = {
    "ours": ours,
    "best-fit": best_fit,
    "first-fit": first_fit,
    "stock": stock,
    "random": random,
}
