"""The exact search: the placement of least cost of all there are, without looking at each.

From the hosts upward, each domain gets its frontier: what it holds, and for how much. The cost is a sum over the
domains that are used (``cost.Prices``), so frontiers of children add up, and what is dearer and holds less is dropped.
Each domain that holds the whole gang is a candidate, at every level up to the one asked for; what can't be cheaper than
the best so far is not looked at.
"""

from typing import NamedTuple

from nvtopo.placement import frontier, staged
from nvtopo.placement.fleet import Domain, Fleet
from nvtopo.placement.frontier import Entry, Frontier, Held
from nvtopo.placement.request import Request
from nvtopo.placement.terms import Terms


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
            if best is not None and (best[1].total, best[1].domain.level) < (search.least(domain), meeting):
                break
            found = search.inside(domain)
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
        self._fewest = [self._fewest_of(level) for level in range(len(fleet.levels))]

    def promising(self, meeting: int) -> list[Domain]:
        """The domains of a level that may hold the gang, the least bound first."""
        found = [domain for domain in self._fleet.domains(meeting) if self._room(domain) >= self._request.pods]
        return sorted(found, key=self.least) if self._terms.kv is not None else found

    def least(self, domain: Domain) -> int:
        """What no gang that meets here and not closer costs less than."""
        bound = self._prices.least(domain.level, self._fewest, self._request.pipeline)
        return bound + self._terms.at(domain.path)

    def _fewest_of(self, level: int) -> int:
        """How many domains of a level hold the gang, or all of its stages, at least."""
        pods, size = self._request.pods, self._prices.stage_pods
        most = max((self._room(domain) // size for domain in self._fleet.domains(level)), default=0)
        return -(-(pods // size) // most) if most else 0

    def inside(self, domain: Domain) -> tuple[tuple[int, ...], Candidate] | None:
        """The best way to place the gang in a domain, and its key: cost, how close, what is broken up."""
        meeting = domain.level
        entry = self._holds(self._inner(domain), meeting)
        if entry is None:
            return None
        total = self._prices.fixed[meeting] + self._terms.at(domain.path) + entry[0].cost[0]
        broken = (entry[0].cost[1] if meeting > 1 else self._free_in(domain), entry[0].cost[2])
        return (total, meeting, *broken), Candidate(total, domain, *entry)

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
            charge = self._terms.charge(domain.host.name) if self._room(domain) else 0
            if self._staged:
                return staged.of_host(domain.host, request.gpus, request.pods, charge)
            return frontier.of_host(domain.host, request.gpus, request.leader_gpus, request.pods, charge)
        join = staged.joined if self._staged else frontier.joined
        inner = frontier.EMPTY
        for child in domain.children:
            inner = join(inner, child, self._seen(child), request.pods)
        return inner

    def _seen(self, domain: Domain) -> Frontier:
        """What a domain holds as its parent sees it."""
        inner, level = self._inner(domain), domain.level
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
