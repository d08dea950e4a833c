"""The quick search costs what the exact one does, while GPUs are taken and given back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.placement.counts import Counts
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.place import place
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment, NoFit, Rank
from nvtopo.placement.state import State
from tests.placement.test_exact import TIERS, fleets


@given(st.data())
@settings(deadline=None)
def test_placements_one_after_the_other_cost_the_least_each_time(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    state = State(cluster)
    running: list[tuple[Rank, ...]] = []
    for _step in range(data.draw(st.integers(1, 5))):
        if running and data.draw(st.sampled_from([True, False])):
            state.give(running.pop(0))
        request = Request(
            pods=data.draw(st.integers(1, 6)),
            gpus=data.draw(st.integers(1, 3)),
            required=data.draw(st.sampled_from([None, *cluster.levels[:-1]])),
            preferred=data.draw(st.sampled_from([None, *cluster.levels[:-1]])),
            message_bytes=data.draw(st.sampled_from([1, 2_000_000])),
        )
        answer, least = state.place(request), place(fleet(state.fleet().hosts.values(), TIERS), request)
        assert type(answer) is type(least)
        if isinstance(answer, Assignment) and isinstance(least, Assignment):
            assert answer.cost == least.cost
            assert answer.level == least.level
            assert answer.domains == least.domains or answer.cost.total == least.cost.total
            running.append(answer.ranks)
            state.take(answer.ranks)
    for ranks in running:
        state.give(ranks)
    assert _free(state.fleet()) == _free(cluster)


def _free(cluster: Fleet) -> dict[str, set[frozenset[int]]]:
    return {host.name: {frozenset(group) for group in host.free if group} for host in cluster.hosts.values()}


def test_kinds_of_pods_and_sizes_of_gangs_that_are_remembered_have_a_limit() -> None:
    free = (tuple(range(4)),)
    hosts = [Host(f"n{number}", {"nvlinkDomain": f"d{number // 8}"}, free, free) for number in range(16)]
    state = State(fleet(hosts, TIERS))
    for number in range(300):
        kind = Request(2, selector={"example.com/team": str(number)}, required="nvlinkDomain")
        assert isinstance(state.place(kind), NoFit)
    assert len(state._counts) <= 64
    for pods in range(5, 300):
        answer = state.place(Request(pods, required="nvlinkDomain"))
        assert isinstance(answer, Assignment) == (pods <= 32)
    for size in range(1, 1100):
        state.place(Request(2, message_bytes=size))
    assert len(state._prices) <= 1024
    (plain,) = (counts for (_gpus, selector), counts in state._counts.items() if not selector)
    assert len(plain.layers[0]._asked) <= 256


def test_keys_of_a_domain_of_thousands_of_hosts_stay_small() -> None:
    layer = Counts([8] * 5000, [[(0, 5000)]], 8).layers[0]
    assert layer.tightest(30_000) == 0
    assert layer._key(0, 30_000) == 3750
