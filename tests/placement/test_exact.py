"""The search finds what trying every placement finds, on small clusters of every shape."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.placement import links
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.place import place
from nvtopo.placement.request import Request, Slice
from nvtopo.placement.result import Assignment, NoFit
from tests.placement.brute_force import least_cost

TIERS = ("nvlinkDomain", "leaf", "spine")


@st.composite
def hosts(draw: st.DrawFn, name: str, leaf: int, domain: int) -> Host:
    shape = draw(st.sampled_from(["quad", "pairs", "pcie", "busy"]))
    tiers = {"spine": f"s{leaf // 2}", "leaf": f"l{leaf}", "nvlinkDomain": f"d{leaf}{domain}"}
    for tier in TIERS:
        if draw(st.integers(0, 9)) == 0:
            del tiers[tier]
    free = {
        "quad": (tuple(range(draw(st.integers(0, 4)))),),
        "pairs": (tuple(range(draw(st.integers(0, 2)))), tuple(range(2, 2 + draw(st.integers(0, 2))))),
        "pcie": tuple((index,) for index in range(draw(st.integers(0, 3)))),
        "busy": (),
    }[shape]
    quad, pairs, pcie = ((0, 1, 2, 3),), ((0, 1), (2, 3)), ((0,), (1,), (2,))
    groups = {"quad": quad, "pairs": pairs, "pcie": pcie, "busy": quad}[shape]
    excluded = draw(st.sampled_from([None, None, None, None, "not ready"]))
    return Host(name, tiers, free, groups, excluded)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    places = [
        (leaf, domain, number)
        for leaf in range(draw(st.integers(1, 3)))
        for domain in range(draw(st.integers(1, 2)))
        for number in range(draw(st.integers(1, 2)))
    ]
    return fleet([draw(hosts(f"n{leaf}{domain}{number}", leaf, domain)) for leaf, domain, number in places], TIERS)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    levels = ("node", *TIERS)
    tier = st.sampled_from(levels)
    required = draw(st.none() | tier)
    sliced = draw(st.none() | st.builds(Slice, st.integers(1, 3), tier))
    if sliced and required and levels.index(sliced.tier) > levels.index(required):
        sliced = None
    return Request(
        pods=draw(st.integers(1, 5)),
        gpus=draw(st.integers(1, 3)),
        required=required,
        slice=sliced,
        leader_gpus=draw(st.none() | st.integers(1, 3)),
        spread_tier=draw(st.none() | tier) if sliced is None else None,
        spread_pods=draw(st.integers(1, 3)),
        message_bytes=draw(st.sampled_from([1, 2_000_000, 1 << 30])),
    )


@given(st.data())
@settings(deadline=None)
def test_the_cost_is_the_least_there_is(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    request = data.draw(requests())
    answer = place(cluster, request, tiers=TIERS)
    cluster = fleet(cluster.hosts.values(), TIERS, request.tiers())
    level = cluster.levels.index(request.required) if request.required else len(cluster.levels) - 1
    if request.spread_tier:
        unknown = [
            host._replace(excluded="?") if request.spread_tier not in ("node", *host.tiers) else host
            for host in cluster.hosts.values()
        ]
        cluster = fleet(unknown, TIERS, request.tiers())
    least = least_cost(cluster, request, links.table(cluster.levels), level)
    assert (answer.cost.total if isinstance(answer, Assignment) else None) == least


@given(st.data())
@settings(deadline=None)
def test_every_rank_has_free_gpus_of_its_own(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    request = data.draw(requests())
    answer = place(cluster, request, tiers=TIERS)
    if isinstance(answer, NoFit):
        assert sum(answer.counts.values()) == answer.nodes == len(cluster.hosts)
        return
    assert [rank.rank for rank in answer.ranks] == list(range(request.pods + (request.leader_gpus is not None)))
    taken = Counter((rank.node, gpu) for rank in answer.ranks for gpu in rank.gpus)
    assert set(taken.values()) == {1}
    for rank in answer.ranks:
        host = cluster.hosts[rank.node]
        assert host.excluded is None
        assert {*rank.gpus} <= {gpu for group in host.free for gpu in group}
        assert len(rank.gpus) == (request.leader_gpus if rank.leader else request.gpus)
        if len(rank.gpus) <= host.group_size:
            assert any({*rank.gpus} <= {*group} for group in host.free)
    assert answer.cost.all_reduce == answer.cost.total
