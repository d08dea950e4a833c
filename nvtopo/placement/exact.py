"""The exact search: the placement of least cost of all there are, without looking at each.

From the hosts upward, each domain gets its frontier: what it holds, and for how much. The cost is a sum over the
domains that are used (``cost.Prices``), so frontiers of children add up, and what is dearer and holds less is dropped.
Each domain that holds the whole gang is a candidate, at every level up to the one asked for; what can't be cheaper than
the best so far is not looked at. Where nodes have a load, ``bounds`` says what can't, of domains and of entries.
"""

from collections.abc import Iterable, Iterator
from math import inf
from typing import Final, NamedTuple

from nvtopo.placement import bounds, frontier, staged
from nvtopo.placement.fleet import Domain, Fleet, Path
from nvtopo.placement.frontier import Entry, Frontier, Held
from nvtopo.placement.request import Request
from nvtopo.placement.terms import Terms

#: The level whose domains hold domains of level 1.
_NEXT: Final = 2


class Candidate(NamedTuple):
    """One domain in which the gang fits, with the cheapest way to place it there."""

    total: int
    """Weighted cost in picoseconds."""
    domain: Domain
    entry: Entry
    held: Held


def cheapest(fleet: Fleet, request: Request, terms: Terms, level: int) -> Candidate | None:
    """The cheapest placement inside one domain of a level up to ``level``; None if there is none."""
    search = _Search(fleet, request, terms)
    best: tuple[tuple[int, ...], Candidate] | None = None
    for meeting in range(level + 1):
        for domain in search.promising(meeting):
            if best is not None and search.is_beaten(best[1], domain):
                break
            found = search.inside(domain, None if best is None else best[1].total)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
    return None if best is None else best[1]


class _Search:
    def __init__(self, fleet: Fleet, request: Request, terms: Terms) -> None:
        self._fleet = fleet
        self._request = request
        self._terms = terms
        self._prices = terms.prices
        self._staged = terms.prices.stage_pods > 1
        self._slice_level = None if request.slice is None else fleet.levels.index(request.slice.tier)
        self._spread_level = None if request.spread_tier is None else fleet.levels.index(request.spread_tier)
        size = 1 if request.slice is None else request.slice.pods
        self._size, self._tail = size, request.pods % size
        self._free: dict[tuple[str, ...], int] = {}
        self._rooms: dict[tuple[str, ...], int] = {}
        self._frontiers: dict[tuple[str, ...], Frontier] = {}
        self._charged = terms.queue is not None or terms.cache is not None
        self._bounded = not self._staged and (self._charged or terms.kv is not None)
        self._bounds: dict[tuple[str, ...], int] = {}
        self._fewest: list[int] | None = None

    def promising(self, meeting: int) -> list[Domain]:
        """The domains of a level that may hold the gang, the least bound first."""
        found = [domain for domain in self._fleet.domains(meeting) if self._room(domain) >= self._request.pods]
        if self._bounded:
            return sorted(found, key=lambda domain: (self.least(domain), self._free_in(domain)))
        return sorted(found, key=self.least) if self._charged or self._terms.kv is not None else found

    def is_beaten(self, best: Candidate, domain: Domain) -> bool:
        """Whether nothing in a domain, and in those after it, comes before the best so far.

        Where nodes or places cost, the first of equals does: they may be many, and each has a frontier of its own.
        """
        least = self.least(domain)
        if self._bounded:
            return best.total <= least
        return (best.total, best.domain.level) < (least, domain.level)

    def least(self, domain: Domain) -> int:
        """What no gang that meets here and not closer costs less than."""
        found = self._bounds.get(domain.path)
        if found is None:
            found = self._bounds[domain.path] = self._terms.at(domain.path) + self._least(domain)
        return found

    def _least(self, domain: Domain) -> int:
        prices, pods = self._prices, self._request.pods
        if not self._bounded:
            if self._fewest is None:
                self._fewest = [self._fewest_of(level) for level in range(len(self._fleet.levels))]
            held = prices.least(domain.level, self._fewest, self._request.pipeline)
            charges = ((self._charge(leaf), self._room(leaf)) for leaf in _below(domain, 0))
            return held + (bounds.least([*charges], pods) if self._charged else 0)
        weights = prices.weights[domain.level]
        held = sum(
            weight * bounds.fewest(map(self._room, _below(domain, level)), pods)
            for level, weight in enumerate(weights)
            if level and weight
        )
        held += prices.fixed[domain.level]
        if not domain.level or not (self._charged or weights[0]):
            return held + self._charge(domain)
        return held + bounds.least([*self._offers(domain, 0)], pods)

    def _offers(self, domain: Domain, level: int) -> Iterator[bounds.Offer]:
        """What each domain of a level charges that has room."""
        return (self._offer(one) for one in _below(domain, level) if self._room(one))

    def _offer(self, domain: Domain) -> bounds.Offer:
        """What using a domain costs, without those inside it, and its room."""
        weight = self._prices.weights[-1][domain.level]
        return self._charge(domain) + weight, min(self._room(domain), self._request.pods)

    def _fewest_of(self, level: int) -> int:
        """How many domains of a level hold the gang, or all of its stages, at least."""
        pods, size = self._request.pods, self._prices.stage_pods
        most = max((self._room(domain) // size for domain in self._fleet.domains(level)), default=0)
        return -(-(pods // size) // most) if most else 0

    def inside(self, domain: Domain, most: int | None) -> tuple[tuple[int, ...], Candidate] | None:
        """The best way to place the gang in a domain, and its key: cost, how close, what is broken up.

        What costs more than ``most`` need not be found.
        """
        meeting = domain.level
        entry = self._holds(self._found(domain, most), meeting)
        if entry is None:
            return None
        total = self._prices.fixed[meeting] + self._terms.at(domain.path) + entry[0].cost[0]
        broken = (entry[0].cost[1] if meeting > 1 else self._free_in(domain), entry[0].cost[2])
        return (total, meeting, *broken), Candidate(total, domain, *entry)

    def _found(self, domain: Domain, most: int | None) -> Frontier:
        """What a domain holds; where nodes or places cost, only what may cost no more than is known to be possible."""
        if not self._bounded:
            return self._inner(domain)
        known = [one for one in (most, self._at_hand(domain)) if one is not None]
        if not known or not domain.level:
            return self._inner(domain)
        fixed = self._prices.fixed[domain.level] + self._terms.at(domain.path)
        offers = [[*self._offers(domain, level)] for level in range(domain.level)]
        return self._cheap(domain, bounds.cut(offers, self._request.pods, min(known) - fixed))[0]

    def _at_hand(self, domain: Domain) -> int | None:
        """What the gang costs in places that are cheap for their room; None if those may not be allowed."""
        request = self._request
        if request.slice is not None or request.leader_gpus is not None or request.spread_tier is not None:
            return None
        hosts = sorted((leaf for leaf in _below(domain, 0) if self._room(leaf)), key=self._for_each_pod)
        if domain.level < _NEXT:
            return self._total(domain, hosts)
        near = sorted((one for one in _below(domain, 1) if self._room(one)), key=self._for_each_pod)
        inside = (sorted(_below(one, 0), key=self._for_each_pod) for one in near)
        return min(self._total(domain, hosts), self._total(domain, (leaf for some in inside for leaf in some)))

    def _for_each_pod(self, domain: Domain) -> float:
        """What using a domain of one of the two closest levels costs for each pod that it has room for."""
        room = min(self._room(domain), self._request.pods)
        charges = sum(map(self._charge, _below(domain, 0)))
        return (charges + self._prices.weights[-1][domain.level]) / room if room else inf

    def _total(self, domain: Domain, hosts: Iterable[Domain]) -> int:
        """What the gang costs on the first hosts that hold it."""
        pods, total, paths = self._request.pods, self._prices.fixed[domain.level], list[Path]()
        for leaf in hosts:
            pods -= self._room(leaf)
            total += self._charge(leaf)
            paths.append(leaf.path)
            if pods <= 0:
                break
        weights = self._prices.weights[domain.level]
        used = (len({path[: len(path) - level] for path in paths}) for level in range(len(weights)))
        return (
            total
            + self._terms.at(domain.path)
            + sum(weight * count for weight, count in zip(weights, used, strict=True))
        )

    def _cheap(self, domain: Domain, cut: bounds.Cut) -> tuple[Frontier, int]:
        """As ``_inner``, without what may not belong to a placement by ``cut``; and what the domain saves."""
        inner, saved = (self._joined(domain), 0) if domain.host is not None else (frontier.EMPTY, 0)
        for child in domain.children:
            if not self._room(child):
                continue
            inside, child_saved = self._cheap(child, cut)
            child_saved += cut.saves(child.level, *self._offer(child))
            saved += child_saved
            seen = self._kept(self._seen(child, inside), cut, child_saved)
            if seen != frontier.EMPTY:
                inner = frontier.joined(inner, child, seen, self._request.pods)
            inner = self._kept(inner, cut, saved)
        return inner, saved

    @staticmethod
    def _kept(found: Frontier, cut: bounds.Cut, saved: int) -> Frontier:
        return frontier.kept(found, lambda entry: cut.keeps(entry.cost[0], entry.pods, saved))

    def _charge(self, leaf: Domain) -> int:
        return self._terms.charge(leaf.host.name) if leaf.host is not None and self._room(leaf) else 0

    def _holds(self, inner: Frontier, meeting: int) -> tuple[Entry, Held] | None:
        """The cheapest entry that holds all of the gang."""
        request = self._request
        if self._spread_level is not None and meeting <= self._spread_level:
            inner = self._at_most(inner)
        sliced = self._slice_level is not None and meeting > self._slice_level and self._tail > 0
        whole = (request.leader_gpus is not None, sliced)
        enough = [entry for entry in inner.get(whole, ()) if entry.pods >= request.pods]
        return (min(enough, key=lambda entry: entry.cost), whole) if enough else None

    def _inner(self, domain: Domain) -> Frontier:
        """What a domain holds, without what using it costs its parent: the same wherever the gang meets."""
        found = self._frontiers.get(domain.path)
        if found is None:
            found = self._frontiers[domain.path] = self._joined(domain)
        return found

    def _joined(self, domain: Domain) -> Frontier:
        request = self._request
        if domain.host is not None:
            charge = self._charge(domain)
            if self._staged:
                return staged.of_host(domain.host, request.gpus, request.pods, charge)
            return frontier.of_host(domain.host, request.gpus, request.leader_gpus, request.pods, charge)
        join = staged.joined if self._staged else frontier.joined
        inner = frontier.EMPTY
        for child in domain.children:
            inner = join(inner, child, self._seen(child, self._inner(child)), request.pods)
        return inner

    def _seen(self, domain: Domain, inner: Frontier) -> Frontier:
        """What a domain holds as its parent sees it."""
        level = domain.level
        weight = self._prices.weights[-1][level]
        if self._slice_level == level:
            inner = frontier.in_slices(inner, self._size, self._tail)
        if self._spread_level == level:
            inner = self._at_most(inner)
        free = self._free_in(domain) if level == 1 else 0
        if self._staged:
            return staged.used(inner, weight, self._prices.rebates[level], self._prices.stage_pods, free)
        return frontier.used(inner, weight, free)

    def _at_most(self, inner: Frontier) -> Frontier:
        limit = staged.at_most if self._staged else frontier.at_most
        return limit(inner, self._request.spread_pods)

    def _room(self, domain: Domain) -> int:
        """Pods, or the leader, that hosts of a domain hold, at most."""
        if domain.path not in self._rooms:
            if domain.host is None:
                self._rooms[domain.path] = sum(map(self._room, domain.children))
            else:
                leader = self._request.leader_gpus
                room = domain.host.room(self._request.gpus)
                self._rooms[domain.path] = room or int(leader is not None and domain.host.room(leader) > 0)
        return self._rooms[domain.path]

    def _free_in(self, domain: Domain) -> int:
        if domain.path not in self._free:
            self._free[domain.path] = sum(host.free_gpus for host in domain.hosts() if host.excluded is None)
        return self._free[domain.path]


def _below(domain: Domain, level: int) -> Iterator[Domain]:
    """The domains of a level inside a domain."""
    if domain.level == level:
        yield domain
        return
    for child in domain.children:
        yield from _below(child, level)
