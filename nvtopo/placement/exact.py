"""The exact search: the placement of least cost of all there are, without looking at each.

From the hosts upward, each domain gets its frontier: what it holds, and for how much. The cost is a sum over the
domains that are used (``cost.weights``), so frontiers of children add up, and what is dearer and holds less is dropped.
Each domain that holds the whole gang is a candidate, at every level up to the one asked for.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nvtopo.placement import cost, frontier
from nvtopo.placement.fleet import Domain, Fleet
from nvtopo.placement.frontier import Entry, Frontier, Held
from nvtopo.placement.links import Link
from nvtopo.placement.request import Request


class Candidate(NamedTuple):
    """One domain in which the gang fits, with the cheapest way to place it there."""

    total: int
    """Weighted cost in picoseconds."""
    domain: Domain
    entry: Entry
    held: Held


def cheapest(fleet: Fleet, request: Request, links: Sequence[Link], level: int) -> Candidate | None:
    """The cheapest placement inside one domain of a level up to ``level``; None if there is none."""
    search = _Search(fleet, request, links)
    best: tuple[tuple[int, ...], Candidate] | None = None
    for key, candidate in search.candidates(level):
        if best is None or key < best[0]:
            best = key, candidate
    return None if best is None else best[1]


class _Search:
    def __init__(self, fleet: Fleet, request: Request, links: Sequence[Link]) -> None:
        self._fleet = fleet
        self._request = request
        self._links = links
        self._slice_level = None if request.slice is None else fleet.levels.index(request.slice.tier)
        self._spread_level = None if request.spread_tier is None else fleet.levels.index(request.spread_tier)
        size = 1 if request.slice is None else request.slice.pods
        self._size, self._tail = size, request.pods % size
        self._free: dict[tuple[str, ...], int] = {}

    def candidates(self, level: int) -> Iterator[tuple[tuple[int, ...], Candidate]]:
        """Each domain that holds the gang, with the key that orders it: cost, how close, what is broken up."""
        for meeting in range(level + 1):
            yield from self._meeting(meeting)

    def _meeting(self, meeting: int) -> Iterator[tuple[tuple[int, ...], Candidate]]:
        """The candidates of one level. Weights depend on it, so frontiers do too."""
        request = self._request
        fixed = cost.fixed_ps(self._links, meeting, request.ranks, request.message_bytes)
        weights = cost.weights(self._links, meeting)
        for domain in self._fleet.domains(meeting):
            entry = self._holds(self._inner(domain, weights), meeting)
            if entry is not None:
                total = fixed + entry[0].cost[0]
                broken = (entry[0].cost[1] if meeting > 1 else self._free_in(domain), entry[0].cost[2])
                yield (total, meeting, *broken), Candidate(total, domain, *entry)

    def _holds(self, inner: Frontier, meeting: int) -> tuple[Entry, Held] | None:
        """The cheapest entry that holds all of the gang."""
        request = self._request
        if self._spread_level is not None and meeting <= self._spread_level:
            inner = frontier.at_most(inner, request.spread_pods)
        sliced = self._slice_level is not None and meeting > self._slice_level and self._tail > 0
        whole = (request.leader_gpus is not None, sliced)
        enough = [entry for entry in inner.get(whole, ()) if entry.pods >= request.pods]
        return (min(enough, key=lambda entry: entry.cost), whole) if enough else None

    def _inner(self, domain: Domain, weights: Sequence[int]) -> Frontier:
        """What a domain holds, without what using it costs its parent."""
        request = self._request
        if domain.host is not None:
            return frontier.of_host(domain.host, request.gpus, request.leader_gpus, request.pods)
        inner = frontier.EMPTY
        for child in domain.children:
            inner = frontier.joined(inner, child, self._seen(child, weights), request.pods)
        return inner

    def _seen(self, domain: Domain, weights: Sequence[int]) -> Frontier:
        """What a domain holds as its parent sees it."""
        inner = self._inner(domain, weights)
        if self._slice_level == domain.level:
            inner = frontier.in_slices(inner, self._size, self._tail)
        if self._spread_level == domain.level:
            inner = frontier.at_most(inner, self._request.spread_pods)
        return frontier.used(inner, weights[domain.level], self._free_in(domain) if domain.level == 1 else 0)

    def _free_in(self, domain: Domain) -> int:
        if domain.path not in self._free:
            self._free[domain.path] = sum(host.free_gpus for host in domain.hosts() if host.excluded is None)
        return self._free[domain.path]
