"""Fleets of a hundred hosts, too large to try every placement: the cost is that of a program of its own.

What a placement costs follows from how many hosts, domains and leaves it uses. So a table says how many pods so many
hosts in so many domains in so many leaves hold at most, filled domain by domain; the cheapest row that holds the gang
is the least cost there is. It shares nothing with the search but the cost of one ring.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from math import inf
from random import Random
from typing import Final

import pytest

from nvtopo.placement import cost, links
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.place import place
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment
from nvtopo.placement.state import State
from tests.placement.seeds import seeded

TIERS: Final = ("nvlinkDomain", "leaf")
Table = dict[tuple[int, int, int], float]
"""Hosts, domains, leaves → the most pods that they hold."""


def made(draw: Random) -> Fleet:
    """Domains of uneven size below a few leaves, busy at random; some hosts are ill."""
    hosts = []
    for leaf in range(draw.randrange(1, 5)):
        for domain in range(draw.randrange(1, 6)):
            for number in range(draw.randrange(1, 10)):
                free = tuple(gpu for gpu in range(4) if draw.random() < 0.5)
                tiers = {"leaf": f"l{leaf}", "nvlinkDomain": f"d{leaf}-{domain}"}
                ill = "not ready" if draw.random() < 0.1 else None
                groups = (tuple(range(4)),)
                hosts.append(Host(f"n{leaf}-{domain}-{number}", tiers, (free,) if free else (), groups, ill))
    return fleet(hosts, TIERS)


def least_cost(given: Fleet, request: Request) -> float:
    """Of all placements that are allowed; infinite if there is none."""
    leaves: dict[str, dict[str, list[int]]] = {}
    for host in given.hosts.values():
        room = 0 if host.excluded else sum(len(group) // request.gpus for group in host.free)
        leaves.setdefault(host.tiers["leaf"], {}).setdefault(host.tiers["nvlinkDomain"], []).append(room)
    domains = {name: _domain(rooms) for leaf in leaves.values() for name, rooms in leaf.items()}
    inside = [_leaf(domains[name] for name in leaf) for leaf in leaves.values()]
    if request.required == "nvlinkDomain":
        return min(_cheapest(given, request, table) for table in domains.values())
    if request.required == "leaf":
        return min(_cheapest(given, request, table) for table in inside)
    return _cheapest(given, request, _sum(inside))


def _domain(rooms: Sequence[int]) -> Table:
    """The roomiest hosts first."""
    largest = sorted((room for room in rooms if room), reverse=True)
    return {(count, 1, 1): sum(largest[:count]) for count in range(1, len(largest) + 1)}


def _leaf(domains: Iterable[Table]) -> Table:
    """Domains of one leaf: however many they are, the leaf is one."""
    found: Table = {}
    for (hosts, count, _), pods in _sum(
        [{(h, d, 0): pods for (h, d, _l), pods in one.items()} for one in domains]
    ).items():
        found[hosts, count, 1] = pods
    return found


def _sum(tables: Sequence[Table]) -> Table:
    """Each of them used, or left out."""
    found: Table = {(0, 0, 0): 0}
    for table in tables:
        before = dict(found)
        for (key, pods), (more, also) in product(before.items(), table.items()):
            both = (key[0] + more[0], key[1] + more[1], key[2] + more[2])
            found[both] = max(found.get(both, 0), pods + also)
    del found[0, 0, 0]
    return found


def _cheapest(given: Fleet, request: Request, table: Table) -> float:
    prices = links.table(given.levels)

    def price(used: tuple[int, int, int]) -> int:
        counts = [*used, 1]
        return cost.ring(prices, tuple(counts[: counts.index(1) + 1]), request.ranks, request.message_bytes)

    fits = (price(used) for used, pods in table.items() if pods >= request.pods and used[0] <= request.pods)
    return min(fits, default=inf)


def asked(draw: Random, given: Fleet) -> Request:
    free = sum(host.free_gpus for host in given.hosts.values() if host.excluded is None)
    gpus = draw.choice([1, 1, 2, 3, 4])
    return Request(
        pods=draw.randrange(1, max(2, free // gpus)),
        gpus=gpus,
        required=draw.choice([None, None, "leaf", "nvlinkDomain"]),
        message_bytes=draw.choice([1, 2_000_000, 1 << 30]),
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.slow
def test_the_cost_is_that_of_a_table_of_all_counts(seed: int) -> None:
    draw = seeded(seed)
    fitted = 0
    for _fleet in range(5):
        given = made(draw)
        state = State(given)
        for _request in range(5):
            request = asked(draw, given)
            now = state.fleet()
            least = least_cost(now, request)
            answer, kept = place(now, request, tiers=TIERS), state.place(request)
            assert (answer.cost.total if isinstance(answer, Assignment) else inf) == least, request
            assert (kept.cost.total if isinstance(kept, Assignment) else inf) == least, request
            if isinstance(kept, Assignment):
                fitted += 1
                state.take(kept.ranks)
    assert fitted


def test_more_room_never_costs_more() -> None:
    draw = seeded(99)
    for _fleet in range(10):
        given = made(draw)
        request = asked(draw, given)
        before = place(given, request, tiers=TIERS)
        if not isinstance(before, Assignment):
            continue
        name = draw.choice(list(given.hosts))
        more = [host.emptied() if host.name == name else host for host in given.hosts.values()]
        after = place(fleet(more, TIERS), request, tiers=TIERS)
        assert isinstance(after, Assignment)
        assert after.cost.total <= before.cost.total
