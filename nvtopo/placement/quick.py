"""The quick search: the same least cost as ``exact``, from counts that are kept, for gangs of equal pods.

It goes outward from the host. A domain has a bound that its cost can't be below: the fewest domains of each closer
level that hold the gang. A placement that reaches the least bound is proven to be the cheapest; so nearly every gang is
placed without more. One that is not proven is left to ``exact``, unless the fleet is too large for it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import mul
from typing import Final, NamedTuple

from nvtopo.placement.cost import Prices
from nvtopo.placement.counts import Counts, Layer, hosts_needed
from nvtopo.placement.relaxed import spread

#: The level whose domains hold domains of level 1.
_NEXT: Final = 2

Take = tuple[int, int]
"""A host, and how many pods it takes."""


class Found(NamedTuple):
    """A placement and what it costs."""

    total: int
    bound: int
    """No placement costs less. The same as ``total`` if this one is proven to be the cheapest."""
    level: int
    takes: tuple[Take, ...]
    used: tuple[int, ...]
    """How many domains of each level below ``level`` they are in."""


class Ask(NamedTuple):
    """What is looked for."""

    pods: int
    level: int
    """The farthest level at which the gang may meet."""


def search(counts: Counts, prices: Prices, ask: Ask) -> Found | None:
    """The cheapest placement that is found at once; None if there is none at all."""
    least = counts.hosts.least(ask.pods)
    if least is not None:
        return Found(prices.fixed[0], prices.fixed[0], 0, ((least[1], ask.pods),), ())
    best: Found | None = None
    undecided: list[int] = []
    for level in range(1, ask.level + 1):
        if best is not None and best.total <= _floor(counts, prices, ask, level):
            continue
        for candidate in _candidates(counts, prices, ask, level):
            if best is not None and best.total <= candidate.bound:
                break
            found = _inside(counts, prices, ask.pods, level, candidate)
            if found.total > candidate.bound:
                undecided.append(candidate.bound)
            if best is None or found.total < best.total:
                best = found
    return best and best._replace(bound=min(best.total, *undecided, best.total))


def _floor(counts: Counts, prices: Prices, ask: Ask, level: int) -> int:
    """What no placement that meets at a level can cost less than: it has two domains of each closer level, at least."""
    weights = prices.weights[level]
    hosts = max(2, -(-ask.pods // counts.most))
    return prices.fixed[level] + weights[0] * hosts + 2 * sum(weights[1:])


class _Inside(NamedTuple):
    """A domain that holds the gang, and the domains of level 1 to use in it; none are chosen inside one of level 1."""

    bound: int
    """Nothing inside it costs less."""
    free: int
    domain: int
    near: tuple[int, ...] = ()


def _candidates(counts: Counts, prices: Prices, ask: Ask, level: int) -> list[_Inside]:
    """The domains of a level that hold the gang, the least bound first."""
    fixed, weights = prices.fixed[level], prices.weights[level]
    layer = counts.layers[level - 1]
    if level == 1:
        domain = layer.tightest(ask.pods)
        if domain is None:
            return []
        needed = hosts_needed(layer.histograms[domain], ask.pods)
        return [_Inside(fixed + weights[0] * needed, layer.totals[domain], domain)]
    found: list[_Inside] = []
    for domain, free in enumerate(layer.totals):
        if free >= ask.pods:
            bound, near = _chosen(counts, weights, (layer.first[domain], layer.last[domain]), ask.pods)
            if weights[0]:
                bound += weights[0] * hosts_needed(layer.histograms[domain], ask.pods)
            found.append(_Inside(fixed + bound, free, domain, near))
    return sorted(found)


def _chosen(counts: Counts, weights: Sequence[int], hosts: tuple[int, int], pods: int) -> tuple[int, tuple[int, ...]]:
    """The domains of level 1 to use in a range of hosts, and what domains of all tiers cost at least."""
    first, last = hosts
    fewest = _roomiest(counts, 1, first, last, pods)
    if len(weights) == _NEXT:
        return weights[1] * len(fewest), tuple(fewest)
    near, wide = counts.layers[0], counts.layers[1]
    inside = {outer: _within(near, wide.first[outer], wide.last[outer]) for outer in _within(wide, first, last)}
    found = spread(inside, near.totals, pods, weights[1], weights[2])
    beyond = (
        weights[level] * len(_roomiest(counts, level, first, last, pods))
        for level in range(_NEXT + 1, len(weights))
        if weights[level]
    )
    return found.bound + sum(beyond), tuple(found.near)


def _inside(counts: Counts, prices: Prices, pods: int, level: int, found: _Inside) -> Found:
    """The placement inside a domain that holds the gang."""
    layer, fixed, weights = counts.layers[level - 1], prices.fixed[level], prices.weights[level]
    if level == 1:
        takes = tuple(counts.fill(layer.first[found.domain], layer.last[found.domain], pods))
    else:
        takes = _filled(counts, found.near, pods)
    used = _used(counts, takes, level)
    return Found(fixed + sum(map(mul, weights, used)), found.bound, level, takes, used)


def _roomiest(counts: Counts, level: int, first: int, last: int, pods: int) -> list[int]:
    """The fewest domains of a level, within a range of hosts, that hold so many pods: the last is tight."""
    layer = counts.layers[level - 1]
    if first == 0 and last == len(counts.rooms):
        return list(_from_buckets(layer, pods))
    ordered = sorted(_within(layer, first, last), key=lambda domain: -layer.totals[domain])
    chosen: list[int] = []
    for domain in ordered:
        if layer.totals[domain] >= pods:
            fitting = [other for other in ordered if layer.totals[other] >= pods and other not in chosen]
            return [*chosen, fitting[-1]]
        chosen.append(domain)
        pods -= layer.totals[domain]
    return chosen


def _from_buckets(layer: Layer, pods: int) -> Iterator[int]:
    for room, count in layer.rooms.counts():
        whole = min(count, pods // room) if room else 0
        yield from layer.rooms.first(room, whole)
        pods -= whole * room
        if whole < count or not pods:
            if pods:
                least = layer.rooms.least(pods)
                assert least is not None
                taken = least[0] == room
                *_taken, last = layer.rooms.first(least[0], whole + 1 if taken else 1)
                yield last
            return


def _within(layer: Layer, first: int, last: int) -> range:
    """The domains of a layer in a range of hosts; domains are in the order of hosts."""
    return range(bisect_left(layer.first, first), bisect_left(layer.first, last))


def _filled(counts: Counts, domains: Iterable[int], pods: int) -> tuple[Take, ...]:
    """The hosts of these domains of level 1 that the gang takes."""
    nearest = counts.layers[0]
    takes: list[Take] = []
    for domain in domains:
        taken = min(pods, nearest.totals[domain])
        takes += counts.fill(nearest.first[domain], nearest.last[domain], taken)
        pods -= taken
    return tuple(sorted(takes))


def _used(counts: Counts, takes: Sequence[Take], level: int) -> tuple[int, ...]:
    """How many domains of each level below ``level`` these hosts are in."""
    domains = (counts.domains(up) for up in range(level - 1))
    return (len(takes), *(len({inside[host] for host, _pods in takes}) for inside in domains))
