"""Every term of the cost, of every placement in every order of ranks: what the search is held against.

It shares with the search only the time of one ring, one send and one exchange over one link.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise, permutations

from nvtopo.placement import cost
from nvtopo.placement.fleet import Fleet
from nvtopo.placement.links import Link
from nvtopo.placement.request import Load, Request
from tests.placement.brute_force import place_of, used, ways


class Brute:
    """What placements of one gang in one fleet cost. Pods are given by their hosts' names, in the order of ranks."""

    def __init__(self, fleet: Fleet, request: Request, links: Sequence[Link]) -> None:
        self.fleet, self.request, self.links = fleet, request, links
        levels = range(len(fleet.levels))
        places = {name: [place_of(fleet, host, up) for up in levels] for name, host in fleet.hosts.items()}

        @cache
        def met(names: frozenset[str]) -> int:
            return next(up for up in levels if len({places[name][up] for name in names}) == 1)

        self.met = met

    def least(self, level: int) -> int | None:
        """The least total of all placements and orders; None if no placement is allowed."""
        found = []
        for way in ways(self.fleet, self.request, level):
            pods = [name for name, count in way.items() for _pod in range(count)]
            anyhow = sum(part or 0 for part in self._anyhow(pods))
            found.append(anyhow + min(sum(part or 0 for part in self._ordered(order)) for order in self._orders(pods)))
        return min(found, default=None)

    def parts(self, pods: Sequence[str]) -> tuple[int | None, ...]:
        """All-reduce, sends, exchange, KV, queue, cache."""
        return (*self._ordered(pods), *self._anyhow(pods))

    def _orders(self, pods: list[str]) -> Iterator[tuple[str, ...]]:
        size = max(1, len(pods) // self.request.pipeline)
        if self.request.pipeline == 1:
            yield tuple(pods)
            return
        firsts = range(0, len(pods), size)
        cut = ([sorted(order[first : first + size]) for first in firsts] for order in {*permutations(pods)})
        yield from {tuple(name for stage in order for name in stage) for order in cut}

    def _ordered(self, pods: Sequence[str]) -> tuple[int, int | None]:
        request, links = self.request, self.links
        if request.pipeline == 1:
            hosts = [self.fleet.hosts[name] for name in pods]
            ring = cost.ring(links, used(self.fleet, hosts, 0), request.ranks, request.message_bytes)
            return request.weights.all_reduce * ring, None
        gpus = [name for name in pods for _gpu in range(request.gpus)]
        size = request.ranks // request.pipeline
        stages = [gpus[first : first + size] for first in range(0, request.ranks, size)]
        pairs = pairwise(stages)
        sends = sum(cost.sent_ps(links[self.met(frozenset((*a, *b)))], request.stage_bytes) for a, b in pairs)
        return request.weights.all_reduce * sum(map(self._reduced, stages)), request.weights.stage_sends * sends

    def _reduced(self, stage: Sequence[str]) -> int:
        link, between = self.links[self.met(frozenset(stage))], max(0, len(stage) // self.request.gpus - 1)
        near = len(stage) - 1 - between
        latency = between * link.latency_ps + near * self.links[0].latency_ps
        return cost.moved_ps(len(stage), self.request.message_bytes, link) + 2 * latency

    def _anyhow(self, pods: Sequence[str]) -> tuple[int | None, ...]:
        request, nodes = self.request, frozenset(pods)
        exchange = cost.all_to_all_ps(self.links[self.met(nodes)], request.ranks, request.expert_bytes)
        exchanged = request.weights.all_to_all * exchange if request.expert_bytes else None
        return exchanged, self._prefilled(nodes), self._loaded(nodes, "queue"), self._loaded(nodes, "misses")

    def _prefilled(self, nodes: frozenset[str]) -> int | None:
        kv = self.request.kv
        if kv is None or any(name not in self.fleet.hosts for group in kv.sources for name in group):
            return None
        sent = [cost.sent_ps(self.links[self.met(nodes | {*group})], kv.bytes) for group in kv.sources]
        return self.request.weights.kv_transfer * sum(sent) // len(sent)

    def _loaded(self, nodes: frozenset[str], what: str) -> int | None:
        request = self.request
        if request.load is None:
            return None
        sizes = {request.gpus, request.leader_gpus or request.gpus}
        able = [host.name for host in self.fleet.hosts.values() if any(host.room(size) for size in sizes)]
        values = {name: getattr(request.load.get(name, Load()), what) for name in able}
        if None in values.values():
            return None
        found = [int(values[name]) for name in nodes]
        if what == "queue":
            return sum(request.weights.queue_ps * one for one in found)
        return sum(request.weights.cache_ps * one // 10**6 for one in found)
