"""``place``: a request and a fleet in, an ``Assignment`` or a ``NoFit`` out."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from nvtopo.cluster.claims import TIERS
from nvtopo.placement import algorithms, allot, cost, exact, links, staged
from nvtopo.placement.fleet import FLEET, NODE, Domain, Fleet, Host, Path, fleet
from nvtopo.placement.links import Link
from nvtopo.placement.request import Request, checked
from nvtopo.placement.result import AllReduceTimes, Assignment, Costs, NoFit, PlacementResult
from nvtopo.placement.terms import Terms, resolved


def place(
    given: Fleet,
    request: Request,
    overrides: Mapping[str, Link] = MappingProxyType({}),
    generation: int = 0,
    tiers: tuple[str, ...] = TIERS,
) -> PlacementResult:
    """The cheapest placement of the gang, or why there is none.

    Raises:
        UsageError: the request asks for something that makes no sense.
    """
    checked(request, (NODE, *tiers))
    usable = _selected(given, request, tiers)
    table = links.table(usable.levels, overrides)
    level = farthest(usable.levels, request)
    terms = resolved(usable, request, table)
    found = None
    if request.preferred and usable.levels.index(request.preferred) < level:
        found = exact.cheapest(usable, request, terms, usable.levels.index(request.preferred))
    found = found or exact.cheapest(usable, request, terms, level)
    if found is None:
        return _no_fit(usable, request, level, generation)
    return _assignment(usable, request, found, Priced(table, terms), generation)


def no_fit(given: Fleet, request: Request, generation: int = 0, tiers: tuple[str, ...] = TIERS) -> NoFit:
    """Why the gang, of which it is known that it fits nowhere, does not."""
    usable = _selected(given, request, tiers)
    return _no_fit(usable, request, farthest(usable.levels, request), generation)


def farthest(levels: tuple[str, ...], request: Request) -> int:
    """The number of the farthest level at which the gang may meet."""
    return levels.index(request.required) if request.required else len(levels) - 1


def _selected(given: Fleet, request: Request, tiers: tuple[str, ...]) -> Fleet:
    """The fleet with the hosts excluded that the request does not want, and with each tier that it names."""
    if not request.selector and request.spread_tier in {None, NODE} and {*request.tiers()} <= {*given.levels}:
        return given
    hosts = tuple(_with_reason(host, request) for host in given.hosts.values())
    return fleet(hosts, tiers, {*given.levels, *request.tiers()})


def _with_reason(host: Host, request: Request) -> Host:
    if host.excluded is not None:
        return host
    for label, value in request.selector.items():
        if host.labels.get(label) != value:
            return host._replace(excluded=f"no label {label}={value}")
    if request.spread_tier not in (None, NODE, *host.tiers):
        return host._replace(excluded=f"its {request.spread_tier} is not known")
    return host


class Priced(NamedTuple):
    """What a placement is priced by."""

    links: tuple[Link, ...]
    terms: Terms


def _assignment(usable: Fleet, request: Request, found: exact.Candidate, priced: Priced, generation: int) -> Assignment:
    slice_level = None if request.slice is None else usable.levels.index(request.slice.tier)
    shares = allot.shares(found, request, slice_level)
    level = found.domain.level
    used = domains_used([share.domain for share in shares], level)
    return Assignment(
        generation=generation,
        level=usable.levels[level],
        domain=found.domain.id,
        cost=_costs(request, found, priced, shares, used),
        domains=dict(zip(usable.levels, used, strict=False)),
        bus_bytes_per_second=priced.links[level].bytes_per_second,
        all_reduce_times=_times(request, priced.links, shares, used),
        ranks=allot.ranks(shares, request),
    )


def _costs(
    request: Request, found: exact.Candidate, priced: Priced, shares: tuple[allot.Share, ...], used: tuple[int, ...]
) -> Costs:
    terms, nodes = priced.terms, [share.host.name for share in shares]
    paths = [share.domain.path for share in shares for _pod in range(share.pods)]
    lies = cost.Shape(used, used, (request.pipeline,) * len(used))
    if request.work.stage_pods > 1:
        lies = cost.shape(staged.counts(paths, found.domain.level), request.work)
    return Costs(
        total=found.total,
        bound=found.total,
        all_reduce=cost.all_reduce(priced.links, lies, request.work),
        stage_sends=cost.stage_sends(priced.links, lies, request.work),
        all_to_all=cost.all_to_all(priced.links, lies, request.work),
        kv_transfer=None if terms.kv is None else terms.at(found.domain.path),
        queue=None if terms.queue is None else sum(terms.queue[node] for node in nodes),
        cache=None if terms.cache is None else sum(terms.cache[node] for node in nodes),
        unknown=terms.unknown,
    )


def _times(
    request: Request, table: tuple[Link, ...], shares: tuple[allot.Share, ...], used: tuple[int, ...]
) -> AllReduceTimes | None:
    if request.pipeline > 1:
        return None
    up = algorithms.island_level(table)
    islands: Counter[Path] = Counter()
    for share in shares:
        path = share.domain.path
        gpus = share.pods * request.gpus + (request.leader_gpus or 0 if share.leader else 0)
        islands[path[: len(path) - up]] += gpus
    return algorithms.times(table, used, request.message_bytes, islands.values())


def domains_used(hosts: list[Domain], level: int) -> tuple[int, ...]:
    """How many domains of each level up to ``level`` these hosts are in."""
    depth = len(hosts[0].path)
    return tuple(len({host.path[: depth - up] for host in hosts}) for up in range(level + 1))


def _no_fit(usable: Fleet, request: Request, level: int, generation: int) -> NoFit:
    """Each node counts once, by the first thing that keeps the gang from it."""
    counts: Counter[str] = Counter()
    tier = usable.levels[level]
    pods = request.pods + (request.leader_gpus is not None)
    best = 0
    for domain in usable.domains(level):
        rooms = {host.name: host.room(request.gpus) for host in domain.hosts()}
        best = max(best, sum(rooms.values()))
        for host in domain.hosts():
            if host.excluded is not None:
                counts[host.excluded] += 1
            elif not rooms[host.name]:
                counts[f"no room for a pod of {request.gpus} GPUs"] += 1
            elif tier not in {NODE, FLEET, *host.tiers}:
                counts[f"its {tier} is not known"] += 1
            else:
                counts[f"its {tier} has no room for the whole gang"] += 1
    return NoFit(
        generation=generation,
        reason=f"no {tier} has room for all {pods} pods of the gang; the most that one has room for is {best}",
        nodes=len(usable.hosts),
        counts=dict(counts.most_common()),
    )
