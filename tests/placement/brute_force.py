"""Every placement there is, tried one by one: what the search is held against. It shares none of its code."""

from collections.abc import Iterator, Sequence
from itertools import product

from nvtopo.placement import cost
from nvtopo.placement.fleet import Fleet, Host
from nvtopo.placement.links import Link
from nvtopo.placement.request import Request


def least_cost(fleet: Fleet, request: Request, links: Sequence[Link], level: int) -> int | None:
    """The least cost of all ways to give each host some pods; None if no way is allowed."""
    found = [
        cost.ring(links, used(fleet, [fleet.hosts[name] for name in way], level), request.ranks, request.message_bytes)
        for way in ways(fleet, request, level)
    ]
    return min(found, default=None)


def used(fleet: Fleet, hosts: Sequence[Host], _level: int) -> tuple[int, ...]:
    """The domains used at each level, up to the first at which there is one."""
    counts: list[int] = []
    for up in range(len(fleet.levels)):
        counts.append(len({place_of(fleet, host, up) for host in hosts}))
        if counts[-1] == 1:
            break
    return tuple(counts)


def place_of(fleet: Fleet, host: Host, level: int) -> tuple[str, ...]:
    """The domain of a level that a host is in."""
    places = [host.name]
    for tier in fleet.levels[1:-1]:
        places.append(host.tiers.get(tier, f"as {places[-1]}"))
    return (*places, "")[level:]


def ways(fleet: Fleet, request: Request, level: int) -> Iterator[dict[str, int]]:
    """Each way that is allowed: the hosts that are used, with their pods besides the leader."""
    hosts = [host for host in fleet.hosts.values() if host.excluded is None]
    leaders: list[Host | None] = [None] if request.leader_gpus is None else list(hosts)
    for leader in leaders:
        if leader is not None and not _fits(leader, 0, request, leads=True):
            continue
        rooms = [
            [pods for pods in range(request.pods + 1) if _fits(host, pods, request, leads=host is leader)]
            for host in hosts
        ]
        for pods in product(*rooms):
            given = dict(zip((host.name for host in hosts), pods, strict=True))
            if sum(pods) == request.pods and _allowed(fleet, request, level, given, leader):
                yield {host.name: given[host.name] for host in hosts if given[host.name] or host is leader}


def _fits(host: Host, pods: int, request: Request, *, leads: bool) -> bool:
    sizes = [request.gpus] * pods + ([request.leader_gpus] if leads and request.leader_gpus else [])
    return _packs(sorted(sizes, reverse=True), [len(group) for group in host.free], host.group_size)


def _packs(sizes: list[int], groups: list[int], group_size: int) -> bool:
    if not sizes:
        return True
    first, *rest = sizes
    if first > group_size:
        return (
            sum(groups) >= sum(sizes)
            if all(size > group_size for size in sizes)
            else _straddles(sizes, groups, group_size)
        )
    return any(
        _packs(rest, [*groups[:index], group - first, *groups[index + 1 :]], group_size)
        for index, group in enumerate(groups)
        if group >= first
    )


def _straddles(sizes: list[int], groups: list[int], group_size: int) -> bool:
    small = [size for size in sizes if size <= group_size]
    return sum(groups) >= sum(sizes) and _packs(small, groups, group_size)


def _allowed(fleet: Fleet, request: Request, level: int, pods: dict[str, int], leader: Host | None) -> bool:
    chosen = [host for host in fleet.hosts.values() if pods.get(host.name) or host is leader]
    if len({place_of(fleet, host, level) for host in chosen}) > 1:
        return False
    if request.spread_tier is not None:
        where = fleet.levels.index(request.spread_tier)
        full: dict[tuple[str, ...], int] = {}
        for host in chosen:
            place = place_of(fleet, host, where)
            full[place] = full.get(place, 0) + pods[host.name] + (host is leader)
        if max(full.values()) > request.spread_pods:
            return False
    if request.slice is None:
        return True
    where = fleet.levels.index(request.slice.tier)
    inside: dict[tuple[str, ...], int] = {}
    for host in chosen:
        place = place_of(fleet, host, where)
        inside[place] = inside.get(place, 0) + pods[host.name]
    if len({place_of(fleet, host, where) for host in chosen}) == 1:
        return True
    tail = request.pods % request.slice.pods
    left = sorted(count % request.slice.pods for count in inside.values() if count % request.slice.pods)
    return left in ([], [tail])
