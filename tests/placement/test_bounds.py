"""Load and KV transfer in fleets of a hundred hosts: what the bounds leave out is in no cheapest placement."""

from random import Random
from typing import Final

import pytest

from nvtopo.placement import exact, links
from nvtopo.placement.fleet import Fleet
from nvtopo.placement.made_fleet import made as racks
from nvtopo.placement.place import place
from nvtopo.placement.request import Kv, Load, Request, Slice, Weights
from nvtopo.placement.result import Assignment
from nvtopo.placement.state import State
from nvtopo.placement.terms import resolved
from tests.calls import calls
from tests.placement.seeds import seeded
from tests.placement.test_medium import TIERS, made

ROUNDS: Final = 60


def asked(draw: Random, given: Fleet) -> Request:
    """A gang with a load, sources of KV caches, or both, and any other wish."""
    names = [*given.hosts]
    queues = draw.choice([(0,), (0, 1), range(9)])
    load = {name: Load(draw.choice(queues), draw.choice((0, 10**6, draw.randrange(10**6)))) for name in names}
    kv = Kv(10**9, tuple((draw.choice(names), draw.choice(names)) for _group in range(draw.randrange(1, 3))))
    which = draw.choice(("load", "kv", "both"))
    return Request(
        pods=draw.choice((1, 3, 8, 20)),
        gpus=draw.choice((1, 2)),
        required=draw.choice((None, None, *TIERS)),
        slice=draw.choice((None, None, Slice(3, "nvlinkDomain"))),
        leader_gpus=draw.choice((None, None, 2)),
        spread_tier=draw.choice((None, None, "node")),
        spread_pods=2,
        kv=None if which == "load" else kv,
        load=None if which == "kv" else load,
        weights=Weights(draw.choice((0, 1, 50)), queue_ps=draw.choice((10**6, 10**8)), cache_ps=10**7),
    )


def least(given: Fleet, request: Request) -> int | None:
    """The least total by the same search with all of its entries, in each domain that has room."""
    terms = resolved(given, request, links.table(given.levels))
    level = given.levels.index(request.required) if request.required else len(given.levels) - 1
    search = exact._Search(given, request, terms)
    search._bounded = False
    domains = (domain for meeting in range(level + 1) for domain in given.domains(meeting))
    found = [search.inside(domain, None) for domain in domains if search._room(domain) >= request.pods]
    return min((one[1].total for one in found if one is not None), default=None)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_out_is_never_cheaper(seed: int) -> None:
    draw = seeded(seed)
    for _round in range(ROUNDS // 4):
        given = made(draw)
        request = asked(draw, given)
        answer = place(given, request, tiers=TIERS)
        assert (answer.cost.total if isinstance(answer, Assignment) else None) == least(given, request), request


def test_a_fleet_that_changed_is_the_one_that_is_built_anew() -> None:
    draw = seeded(1)
    given = made(draw)
    state, request = State(given), Request(2)
    for _round in range(10):
        answer = state.place(request)
        assert isinstance(answer, Assignment)
        state.take(answer.ranks)
        assert state.fleet().root == State(state.fleet()).fleet().root
        assert [*state.fleet().root.hosts()] == state._hosts == [*state.fleet().hosts.values()]
    assert state.fleet() is state.fleet()


def test_a_change_makes_only_the_domains_anew_that_it_is_in() -> None:
    few, many = (State(racks(count, 18, 4, racks_of_a_leaf=16)) for count in (16, 256))
    for state in (few, many):
        state.fleet()
        answer = state.place(Request(1))
        assert isinstance(answer, Assignment)
        state.take(answer.ranks)
    assert calls(many.fleet) < 2 * calls(few.fleet)
