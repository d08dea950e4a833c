"""``State``: a fleet whose free GPUs change, and the counts that its placements are found with.

Each kind of pod that is asked for (its GPUs, and what its nodes must be) has its own counts, made when it is first
asked for and kept by the same changes. What counts can't answer (slices, leaders, spreading), and the rare gang whose
cheapest placement they don't prove, goes to the exact search over the fleet as it is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from nvtopo.cluster.claims import TIERS
from nvtopo.placement import algorithms, cost, links, quick
from nvtopo.placement.allot import gpus_of_pods, in_stages
from nvtopo.placement.cost import Prices
from nvtopo.placement.counts import Counts
from nvtopo.placement.fleet import NODE, Domain, Fleet, Host, Path, changed
from nvtopo.placement.links import Link
from nvtopo.placement.place import farthest, no_fit, place
from nvtopo.placement.request import Request, Work, checked
from nvtopo.placement.result import AllReduceTimes, Assignment, Costs, PlacementResult, Rank

#: Hosts times pods up to which the exact search answers within seconds.
_EXACT: Final = 200_000
#: Kinds of pods that are counted: requests come from others. Of one more, the oldest is forgotten.
_MOST_KINDS: Final = 64
_MOST_PRICES: Final = 1024

Kind = tuple[int, tuple[tuple[str, str], ...]]
"""GPUs of a pod, and the labels its node must have."""


class State:
    """The fleet with what is held of it at this moment."""

    def __init__(self, given: Fleet, overrides: Mapping[str, Link] = MappingProxyType({})) -> None:
        self._levels = given.levels
        self._overrides = overrides
        self._links = links.table(given.levels, overrides)
        self._fleet = given
        self._paths = [domain.path for domain in given.domains(0)]
        self._changed: dict[Path, Host] = {}
        """What the fleet has not got yet."""
        self._hosts = list(given.root.hosts())
        self._numbers = {host.name: number for number, host in enumerate(self._hosts)}
        self._spans = [list(_spans(given, level)) for level in range(1, len(given.levels))]
        self._ids = [[domain.id for domain in given.domains(level)] for level in range(1, len(given.levels))]
        self._counts: dict[Kind, Counts] = {}
        self._prices: dict[Work, Prices] = {}
        self._island = algorithms.island_level(self._links)
        self._times_of: dict[tuple[tuple[int, ...], int, int], AllReduceTimes] = {}
        """Domains used, bytes and ranks → times inside one island."""

    @property
    def hosts(self) -> Sequence[Host]:
        """The hosts as they are now, in physical order."""
        return self._hosts

    def place(self, request: Request, generation: int = 0) -> PlacementResult:
        """The cheapest placement now; nothing is taken by it.

        Raises:
            UsageError: the request asks for something that makes no sense.
        """
        if not self._counted(request):
            return place(self.fleet(), request, self._overrides, generation)
        work = request.work
        found = self._quickly(request, work)
        if found is None and work.stage_pods > 1:
            return place(self.fleet(), request, self._overrides, generation)
        if found is None:
            return no_fit(self.fleet(), request, generation)
        if found.bound < found.total and len(self._hosts) * request.pods <= _EXACT:
            return place(self.fleet(), request, self._overrides, generation)
        return self._assignment(request, work, found, generation)

    def _counted(self, request: Request) -> bool:
        """Whether counts can answer it."""
        checked(request, (NODE, *TIERS, *self._levels))
        plain = request.slice is None and request.leader_gpus is None and request.spread_tier is None
        inward = request.kv is None and request.load is None
        return plain and inward and {*request.tiers()} <= {*self._levels}

    def take(self, ranks: Iterable[Rank]) -> None:
        """The GPUs of these ranks are in use."""
        for node, gpus in _by_node(ranks).items():
            self._set(self._hosts[self._numbers[node]].without(gpus))

    def give(self, ranks: Iterable[Rank]) -> None:
        """The GPUs of these ranks are free again."""
        for node, gpus in _by_node(ranks).items():
            self._set(self._hosts[self._numbers[node]].given_back(gpus))

    def put(self, host: Host) -> None:
        """A host of the fleet is so now."""
        self._set(host)

    def fleet(self) -> Fleet:
        """The fleet as it is now."""
        if self._changed:
            self._fleet, self._changed = changed(self._fleet, self._changed), {}
        return self._fleet

    def _set(self, host: Host) -> None:
        number = self._numbers[host.name]
        self._hosts[number] = self._changed[self._paths[number]] = host
        for (gpus, selector), counts in self._counts.items():
            counts.set_room(number, _room(host, gpus, selector))

    def _quickly(self, request: Request, work: Work) -> quick.Found | None:
        level = farthest(self._levels, request)
        if work.stage_pods > 1:
            level = min(level, self._flat)
        counts = self._counts_for(request.gpus, tuple(sorted(request.selector.items())))
        if not counts.most:
            return None
        prices = self._prices_for(work)
        if request.preferred and self._levels.index(request.preferred) < level:
            near = quick.search(counts, prices, quick.Ask(request.pods, self._levels.index(request.preferred)))
            if near is not None:
                return near
        return quick.search(counts, prices, quick.Ask(request.pods, level))

    @property
    def _flat(self) -> int:
        """The level up to which it makes no difference which domains the stages of a pipeline are in."""
        return 1 if len(self._links) > 1 and self._links[0] == self._links[1] else 0

    def _prices_for(self, work: Work) -> Prices:
        found = self._prices.get(work)
        if found is None:
            if len(self._prices) >= _MOST_PRICES:
                self._prices.clear()
            found = self._prices[work] = Prices(self._links, work)
        return found

    def _counts_for(self, gpus: int, selector: tuple[tuple[str, str], ...]) -> Counts:
        found = self._counts.get((gpus, selector))
        if found is None:
            rooms = [_room(host, gpus, selector) for host in self._hosts]
            most = max((host.emptied().room(gpus) for host in self._hosts), default=0)
            found = Counts(rooms, self._spans, most)
            if len(self._counts) >= _MOST_KINDS:
                del self._counts[next(iter(self._counts))]
            self._counts[gpus, selector] = found
        return found

    def _assignment(self, request: Request, work: Work, found: quick.Found, generation: int) -> Assignment:
        takes = sorted(found.takes)
        counts = self._counts_for(request.gpus, tuple(sorted(request.selector.items())))
        first = takes[0][0]
        domain = "" if found.level else self._hosts[first].name
        if found.level:
            domain = self._ids[found.level - 1][counts.domains(found.level - 1)[first]]
        return Assignment(
            generation=generation,
            level=self._levels[found.level],
            domain=domain,
            bus_bytes_per_second=self._links[found.level].bytes_per_second,
            cost=self._costs(work, found),
            all_reduce_times=self._times(work, found, counts),
            domains=dict(zip(self._levels, (*found.used, 1), strict=False)),
            ranks=self._ranks(takes, request.gpus, work.stage_pods),
        )

    def _costs(self, work: Work, found: quick.Found) -> Costs:
        if work.pipeline == 1 and not work.expert_bytes:
            return Costs(total=found.total, bound=found.bound, all_reduce=found.total)
        used = (*found.used, 1)
        lies = cost.Shape(used, used, (work.pipeline,) * len(used))
        if work.stage_pods > 1:
            on_hosts = [pods for _host, pods in found.takes]
            lies = cost.shape((on_hosts, [sum(on_hosts)])[: len(used)], work)
        return Costs(
            total=found.total,
            bound=found.bound,
            all_reduce=cost.all_reduce(self._links, lies, work),
            stage_sends=cost.stage_sends(self._links, lies, work),
            all_to_all=cost.all_to_all(self._links, lies, work),
        )

    def _times(self, work: Work, found: quick.Found, counts: Counts) -> AllReduceTimes | None:
        if work.pipeline > 1:
            return None
        used, up = (*found.used, 1), self._island
        if found.level <= up:
            return self._inside_island(used, work)
        islands: Counter[int] = Counter()
        of_host = counts.domains(up - 1) if up else range(len(self._hosts))
        for number, pods in found.takes:
            islands[of_host[number]] += pods * work.gpus
        return algorithms.times(self._links, used, work.message_bytes, islands.values())

    def _inside_island(self, used: tuple[int, ...], work: Work) -> AllReduceTimes:
        key = used, work.message_bytes, work.ranks
        known = self._times_of.get(key)
        if known is None:
            if len(self._times_of) >= _MOST_PRICES:
                self._times_of.clear()
            known = algorithms.times(self._links, used, work.message_bytes, (work.ranks,))
            self._times_of[key] = known
        return known

    def _ranks(self, takes: Iterable[quick.Take], gpus: int, stage_pods: int) -> tuple[Rank, ...]:
        found: list[Rank] = []
        for number, pods in takes:
            host = self._hosts[number]
            for taken in gpus_of_pods(host, gpus, pods):
                found.append(Rank(rank=len(found), node=host.name, gpus=taken))
        return in_stages(found, [(rank.node,) for rank in found], stage_pods) if stage_pods > 1 else tuple(found)


def _spans(given: Fleet, level: int) -> Iterator[tuple[int, int]]:
    """The ranges of hosts that the domains of a level are, hosts counted in order."""
    first = 0
    for domain in given.domains(level):
        last = first + _size(domain)
        yield first, last
        first = last


def _size(domain: Domain) -> int:
    return 1 if domain.host is not None else sum(map(_size, domain.children))


def _room(host: Host, gpus: int, selector: Collection[tuple[str, str]]) -> int:
    if selector and any(host.labels.get(label) != value for label, value in selector):
        return 0
    return host.room(gpus)


def _by_node(ranks: Iterable[Rank]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for rank in ranks:
        known = found.get(rank.node)
        if known is None:
            found[rank.node] = [*rank.gpus]
        else:
            known += rank.gpus
    return found
