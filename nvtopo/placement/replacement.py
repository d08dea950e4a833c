"""``replaced``: another place for some ranks of a gang that runs, the others untouched.

Each node's ranks are a part. A part goes where the whole gang costs least then, of equal places to the nearest one; to
one node together, if that costs no more than one by one. What the gang asked for holds: its level, its spreading, its
slices. Queues, caches and KV transfer are not looked at: it is the ring that waits.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.cluster.claims import TIERS
from nvtopo.placement import algorithms, allot, links, ordered
from nvtopo.placement.fleet import FLEET, NODE, Host
from nvtopo.placement.links import Link
from nvtopo.placement.ordered import TierPath
from nvtopo.placement.request import Request
from nvtopo.placement.result import AllReduceTimes, Assignment, Costs, NoFit, Rank

_UNKNOWN = "it is not computed again for a gang of which a part was moved"


class Site(NamedTuple):
    """Where the gang may go."""

    hosts: Sequence[Host]
    """In physical order, with what is free for this gang: what it gives up counts as free."""
    links: Mapping[str, Link]
    generation: int = 0


class _Choice(NamedTuple):
    """Places of a part, and what they are compared by."""

    key: tuple[int, ...]
    """Outside the preferred level, the cost, and then the distance."""
    ranks: tuple[Rank, ...]


def of_whole(request: Request, answer: Assignment) -> Request:
    """The request of a whole gang, from that of some of its pods."""
    leads = any(rank.leader for rank in answer.ranks)
    sizes = {rank.leader: len(rank.gpus) for rank in answer.ranks}
    return request._replace(
        pods=len(answer.ranks) - leads,
        gpus=sizes.get(False, request.gpus),
        leader_gpus=sizes[True] if leads else None,
    )


def replaced(site: Site, request: Request, answer: Assignment, lost: Iterable[Rank]) -> Assignment | NoFit:
    """The answer with other places for the ranks that are lost, which are ranks of it; or why there are none."""
    search = _Search(site, request, answer, lost)
    for part in search.parts:
        if not search.move(part):
            return search.no_fit(part)
    return search.answer()


class _Search:
    def __init__(self, site: Site, request: Request, answer: Assignment, lost: Iterable[Rank]) -> None:
        self._site, self._request, self._was = site, request, answer
        asked = {*request.tiers()}
        tiers = (tier for tier in TIERS if tier in asked or any(tier in host.tiers for host in site.hosts))
        self._levels = (NODE, *tiers, FLEET)
        self._links = links.table(self._levels, site.links)
        self._hosts = [host if (why := _unwanted(host, request)) is None else _closed(host, why) for host in site.hosts]
        self._numbers = {host.name: number for number, host in enumerate(site.hosts)}
        self._places = [ordered.place_of(host, self._levels) for host in site.hosts]
        self._ranks = {rank.rank: rank for rank in answer.ranks}
        self.parts: list[tuple[Rank, ...]] = []
        by_node: dict[str, list[Rank]] = {}
        for rank in sorted(lost, key=lambda rank: rank.rank):
            by_node.setdefault(rank.node, []).append(self._ranks.pop(rank.rank))
        self.parts = [tuple(part) for part in by_node.values()]
        self._refusals: Counter[str] = Counter()

    def move(self, part: tuple[Rank, ...]) -> bool:
        """Find places for it; whether there are."""
        before = dict(self._ranks)
        together = self._best(part)
        found = together
        if len(part) > 1:
            apart = self._apart(part)
            if apart is not None and (together is None or apart.key[:2] < together.key[:2]):
                found = apart
        self._ranks = before
        if found is None:
            return False
        for rank in found.ranks:
            self._take(rank)
        return True

    def _apart(self, part: tuple[Rank, ...]) -> _Choice | None:
        """One after the other, each to its best place."""
        kept, chosen = list(self._hosts), list[Rank]()
        key: tuple[int, ...] = ()
        for rank in part:
            found = self._best((rank,))
            if found is None:
                break
            key = found.key
            chosen += found.ranks
            self._take(found.ranks[0])
        self._hosts = kept
        return _Choice(key, tuple(chosen)) if len(chosen) == len(part) else None

    def _take(self, rank: Rank) -> None:
        number = self._numbers[rank.node]
        self._hosts[number] = self._hosts[number].without(rank.gpus)
        self._ranks[rank.rank] = rank

    def _best(self, part: tuple[Rank, ...]) -> _Choice | None:
        """The best host for all of a part. Hosts that are equally far from all others cost the same."""
        self._refusals.clear()
        staying = self._known()
        domains = {place[:length] for place in staying.values() for length in range(len(place) + 1)} or {()}
        prices: dict[TierPath, tuple[int, int] | str] = {}
        old = self._numbers.get(part[0].node)
        near = self._near(part, old)
        best: tuple[tuple[int, ...], int, list[tuple[int, ...]]] | None = None
        for number, host in enumerate(self._hosts):
            gpus = _fitting(host, part)
            if isinstance(gpus, str):
                self._refusals[gpus] += 1
                continue
            place = self._places[number]
            deepest = next(place[:length] for length in range(len(place), -1, -1) if place[:length] in domains)
            if deepest not in prices:
                prices[deepest] = self._price(part, place, staying)
            price = prices[deepest]
            if isinstance(price, str):
                self._refusals[price] += 1
                continue
            away = 0 if near is None else ordered.meeting((self._places[near], place))
            key = (*price, away, 0 if near is None else abs(number - near), number)
            if best is None or key < best[0]:
                best = key, number, gpus
        if best is None:
            return None
        name = self._hosts[best[1]].name
        chosen = (replace(rank, node=name, gpus=gpus) for rank, gpus in zip(part, best[2], strict=True))
        return _Choice(best[0], tuple(chosen))

    def _known(self) -> dict[int, TierPath]:
        """Rank → where it is, of those that are somewhere known."""
        return {
            number: self._places[self._numbers[rank.node]]
            for number, rank in sorted(self._ranks.items())
            if rank.node in self._numbers
        }

    def _near(self, part: tuple[Rank, ...], old: int | None) -> int | None:
        """The host to be near to: the old one; if that is gone, the one of the rank before or after."""
        if old is not None:
            return old
        known = sorted(self._known(), key=lambda number: abs(number - part[0].rank))
        return self._numbers[self._ranks[known[0]].node] if known else None

    def _price(self, part: tuple[Rank, ...], place: TierPath, staying: Mapping[int, TierPath]) -> tuple[int, int] | str:
        """Whether it is outside the preferred level, and the cost; or why the part may not be there."""
        request, levels = self._request, self._levels
        both = {**staying, **{rank.rank: place for rank in part}}
        cost = ordered.priced(self._links, request, [both[rank] for rank in sorted(both)])
        if request.required is not None:
            if not staying and len(self._was.ranks) > len(part):
                return "nobody knows where the others of the gang are"
            if cost.level > levels.index(request.required):
                return f"it is in another {request.required} than the others of the gang"
        if request.spread_tier is not None:
            domain = place[: len(place) - levels.index(request.spread_tier)]
            beside = sum(other[: len(domain)] == domain for other in staying.values())
            if beside + len(part) > request.spread_pods:
                return f"its {request.spread_tier} has as many pods of the gang as it may have"
        if request.slice is not None and not self._keeps_slices(part, place, staying):
            return f"it is in another {request.slice.tier} than the others of the slice"
        outside = request.preferred is not None and cost.level > levels.index(request.preferred)
        return int(outside), cost.total

    def _keeps_slices(self, part: tuple[Rank, ...], place: TierPath, staying: Mapping[int, TierPath]) -> bool:
        """Whether those of each slice that stay are in the domain where the others of it go."""
        wanted = self._request.slice
        if wanted is None:
            return True
        first = int(self._request.leader_gpus is not None)
        moved = {(rank.rank - first) // wanted.pods for rank in part if not rank.leader}
        length = len(place) - self._levels.index(wanted.tier)
        mates = {
            other[:length] for number, other in staying.items() if number >= first
            and (number - first) // wanted.pods in moved
        }  # fmt: skip
        return not mates or place[:length] in mates

    def answer(self) -> Assignment:
        """All ranks as they are now."""
        request, table = self._request, self._links
        known = self._known()
        places = [*known.values()]
        cost = ordered.priced(table, request, places)
        depth = len(places[0])
        used = tuple(len({place[: depth - up] for place in places}) for up in range(cost.level + 1))
        meets = places[0][: depth - cost.level]
        terms = {"kvTransfer": request.kv, "queue": request.load, "cache": request.load}
        return replace(
            self._was,
            generation=self._site.generation,
            level=self._levels[cost.level],
            domain=meets[-1][1] if meets else "",
            cost=Costs(
                total=cost.total,
                bound=cost.total,
                all_reduce=cost.all_reduce,
                stage_sends=cost.stage_sends,
                all_to_all=cost.all_to_all,
                unknown={term: _UNKNOWN for term, asked in terms.items() if asked is not None},
            ),
            domains=dict(zip(self._levels, used, strict=False)),
            bus_bytes_per_second=table[cost.level].bytes_per_second,
            all_reduce_times=self._times(known, used) if len(known) == len(self._ranks) else None,
            ranks=tuple(self._ranks[number] for number in sorted(self._ranks)),
        )

    def _times(self, known: Mapping[int, TierPath], used: tuple[int, ...]) -> AllReduceTimes | None:
        request, table = self._request, self._links
        if request.pipeline > 1:
            return None
        up = algorithms.island_level(table)
        islands: Counter[TierPath] = Counter()
        for number, place in known.items():
            islands[place[: len(place) - up]] += len(self._ranks[number].gpus)
        found = algorithms.times(table, used, request.message_bytes, islands.values())
        return replace(found, ring=ordered.ring(table, request, [*known.values()]))

    def no_fit(self, part: tuple[Rank, ...]) -> NoFit:
        """Each node counts once, by the first thing that keeps the part from it."""
        gpus, within = len(part[0].gpus), self._request.required
        where = "no node" if within is None else f"no node of its {within}"
        return NoFit(
            generation=self._site.generation,
            reason=f"{where} has room for {gpus} GPUs in place of those of {part[0].node}",
            nodes=len(self._hosts),
            counts=dict(self._refusals.most_common()),
        )


def _unwanted(host: Host, request: Request) -> str | None:
    """Why the gang does not want a host; None if it does."""
    for label, value in request.selector.items():
        if host.labels.get(label) != value:
            return f"no label {label}={value}"
    if request.spread_tier not in (None, NODE, *host.tiers):
        return f"its {request.spread_tier} is not known"
    return None


def _closed(host: Host, why: str) -> Host:
    return host if host.excluded is not None else host._replace(excluded=why)


def _fitting(host: Host, part: tuple[Rank, ...]) -> list[tuple[int, ...]] | str:
    """The GPUs that each of a part gets on a host; or why they don't fit."""
    if host.excluded is not None:
        return host.excluded
    left, found = [list(group) for group in host.free], list[tuple[int, ...]]()
    for rank in part:
        wanted = len(rank.gpus)
        room = max(map(len, left), default=0) if wanted <= host.group_size else sum(map(len, left))
        if room < wanted:
            return f"no room for {' + '.join(str(len(one.gpus)) for one in part)} GPUs"
        found.append(allot.take_gpus(left, wanted, host))
    return found
