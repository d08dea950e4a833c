"""Pipelines, experts, KV transfer, queues and caches: the search finds what trying every placement and order finds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.placement import links
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.links import Link
from nvtopo.placement.place import place
from nvtopo.placement.request import Kv, Load, Request, Weights
from nvtopo.placement.result import Assignment
from nvtopo.placement.state import State
from tests.placement.brute_terms import Brute

TIERS = ("nvlinkDomain", "leaf")
#: Pods, GPUs of each, stages: stages of several pods, of one, and pods of several stages.
SMALL = ((4, 1, 2), (4, 1, 4), (2, 2, 4), (3, 2, 3), (2, 4, 2), (3, 1, 1), (2, 2, 1))
FEW = 4


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    hosts = []
    for leaf in range(draw(st.integers(1, 2))):
        for domain in range(draw(st.integers(1, 2))):
            for number in range(draw(st.integers(1, 2))):
                tiers = {"leaf": f"l{leaf}", "nvlinkDomain": f"d{leaf}{domain}"}
                if draw(st.integers(0, 9)) == 0:
                    del tiers["nvlinkDomain"]
                free = tuple(range(draw(st.integers(0, 4))))
                ill = draw(st.sampled_from([None, None, None, None, "not ready"]))
                name = f"n{leaf}{domain}{number}"
                hosts.append(Host(name, tiers, (free,) if free else (), (tuple(range(4)),), ill))
    return fleet(hosts, TIERS)


@st.composite
def requests(draw: st.DrawFn, cluster: Fleet) -> Request:
    shapes = SMALL if len(cluster.hosts) > FEW else (*SMALL, (6, 1, 3), (6, 1, 2))
    pods, gpus, pipeline = draw(st.sampled_from(shapes))
    levels, five = ("node", *TIERS), st.sampled_from([1, 5])
    names = st.sampled_from([*cluster.hosts, *cluster.hosts, *cluster.hosts, "elsewhere"])
    kv = st.builds(
        Kv,
        st.sampled_from([1, 10**9]),
        st.lists(st.lists(names, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(tuple),
    )
    count = st.integers(0, 3)
    known = st.builds(Load, count, st.integers(0, 10**6))
    some = st.builds(Load, st.none() | count, st.none())
    work = st.fixed_dictionaries(dict.fromkeys(cluster.hosts, draw(st.sampled_from([known, known, some]))))
    return Request(
        pods=pods,
        gpus=gpus,
        pipeline=pipeline,
        required=draw(st.sampled_from([None, None, *levels])),
        spread_tier=draw(st.sampled_from([None, None, "node"])),
        spread_pods=draw(st.integers(1, 3)),
        message_bytes=draw(st.sampled_from([1, 2_000_000, 1 << 30])),
        stage_bytes=draw(st.sampled_from([0, 1_000_000, 1 << 30])),
        expert_bytes=draw(st.sampled_from([0, 1_000_000])),
        kv=draw(st.none() | kv),
        load=draw(st.none() | work),
        weights=Weights(draw(st.integers(0, 3)), draw(five), draw(five), draw(five), 10**6, 10**8),
    )


prices = st.sampled_from(
    [{}, {"nvlinkDomain": Link(9_000_000, 400_000_000_000)}, {"leaf": Link(3_400_000, 800_000_000_000)}]
)


@given(st.data())
@settings(deadline=None)
def test_the_total_is_the_least_there_is_and_that_of_the_ranks(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    request, overrides = data.draw(requests(cluster)), data.draw(prices)
    answer = place(cluster, request, overrides, tiers=TIERS)
    cluster = fleet(cluster.hosts.values(), TIERS, request.tiers())
    table = links.table(cluster.levels, overrides)
    level = cluster.levels.index(request.required) if request.required else len(cluster.levels) - 1
    brute = Brute(cluster, request, table)
    assert (answer.cost.total if isinstance(answer, Assignment) else None) == brute.least(level)
    if isinstance(answer, Assignment):
        costs = answer.cost
        named = (costs.all_reduce, costs.stage_sends, costs.all_to_all, costs.kv_transfer, costs.queue, costs.cache)
        assert named == brute.parts([rank.node for rank in answer.ranks])
        assert sum(part or 0 for part in named) == costs.total


@given(st.data())
@settings(deadline=None)
def test_the_quick_search_costs_the_same(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    request, overrides = data.draw(requests(cluster)), data.draw(prices)
    quick, exact = State(cluster, overrides).place(request), place(cluster, request, overrides)
    assert isinstance(quick, Assignment) == isinstance(exact, Assignment)
    if isinstance(quick, Assignment) and isinstance(exact, Assignment):
        assert quick.cost == exact.cost
        table = links.table(cluster.levels, overrides)
        found = Brute(cluster, request, table).parts([rank.node for rank in quick.ranks])
        assert sum(part or 0 for part in found) == quick.cost.total
