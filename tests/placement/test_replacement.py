"""Another place for a part of a gang costs what trying every host finds, and the others stay where they are."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from nvtopo.placement import links, ordered
from nvtopo.placement.fleet import Fleet, Host, fleet
from nvtopo.placement.place import place
from nvtopo.placement.replacement import Site, of_whole, replaced
from nvtopo.placement.request import Request, Slice
from nvtopo.placement.result import Assignment, NoFit, Rank
from tests.placement.brute_force import place_of
from tests.placement.test_exact import TIERS, fleets, requests

FOUR = ((0, 1, 2, 3),)


def host(name: str, rack: int = 0, leaf: int = 0, free: tuple[tuple[int, ...], ...] = FOUR) -> Host:
    return Host(name, {"nvlinkDomain": f"d{rack}", "leaf": f"l{leaf}"}, free, FOUR)


def taken(cluster: Fleet, ranks: Sequence[Rank]) -> dict[str, Host]:
    """The hosts once a gang has its GPUs."""
    hosts = dict(cluster.hosts)
    for rank in ranks:
        hosts[rank.node] = hosts[rank.node].without(rank.gpus)
    return hosts


def brute(cluster: Fleet, request: Request, answer: Assignment, lost: Rank) -> Iterator[tuple[int, int, str]]:
    """Each host that may have the rank: cost of the whole gang, how far from the old one, and its name."""
    names = [*cluster.hosts]
    for number, candidate in enumerate(cluster.hosts.values()):
        wanted = len(lost.gpus)
        groups = [len(group) for group in candidate.free]
        fits = max(groups, default=0) >= wanted if wanted <= candidate.group_size else sum(groups) >= wanted
        if candidate.excluded is not None or not fits:
            continue
        on = [candidate if rank.rank == lost.rank else cluster.hosts[rank.node] for rank in answer.ranks]
        if request.required and meet(cluster, on) > cluster.levels.index(request.required):
            continue
        if request.spread_tier:
            if request.spread_tier not in ("node", *candidate.tiers):
                continue
            level = cluster.levels.index(request.spread_tier)
            if sum(place_of(cluster, one, level) == place_of(cluster, candidate, level) for one in on) > (
                request.spread_pods
            ):
                continue
        old = cluster.hosts[lost.node]
        away = meet(cluster, [old, candidate]) * 1000 + abs(number - names.index(lost.node))
        yield ring_of_gpus(cluster, on, [len(rank.gpus) for rank in answer.ranks], request), away, candidate.name


def meet(cluster: Fleet, hosts: Sequence[Host]) -> int:
    return next(level for level in range(9) if len({place_of(cluster, one, level) for one in hosts}) == 1)


def ring_of_gpus(cluster: Fleet, hosts: Sequence[Host], gpus: Sequence[int], request: Request) -> int:
    """Step by step from each GPU to the next: node by node in the order of their first rank."""
    table = links.table(cluster.levels)
    order = [one.name for one in hosts]
    chain = [
        one for one in dict.fromkeys(order) for at, name in enumerate(order) if name == one for _ in range(gpus[at])
    ]
    steps = [meet(cluster, [cluster.hosts[one], cluster.hosts[other]]) for one, other in pairwise(chain)]
    count, slowest = len(chain), table[max(steps, default=0)].bytes_per_second
    moved = -(-2 * (count - 1) * request.message_bytes * 10**12 // (count * slowest))
    return moved + 2 * sum(table[step].latency_ps for step in steps)


@given(st.data())
@settings(deadline=None)
def test_the_cost_is_the_least_of_all_hosts_and_of_these_the_nearest_one_is_taken(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    pods, gpus = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 2))
    request = data.draw(requests())._replace(slice=None, pods=pods, gpus=gpus)
    answer = place(cluster, request, tiers=TIERS)
    if isinstance(answer, NoFit):
        return
    lost = data.draw(st.sampled_from(answer.ranks))
    hosts = taken(cluster, answer.ranks)
    if data.draw(st.booleans()):
        hosts[lost.node] = hosts[lost.node]._replace(excluded="cordoned")
    else:
        hosts[lost.node] = hosts[lost.node].given_back(lost.gpus[1:])
    cluster = fleet(hosts.values(), TIERS, request.tiers())
    found = replaced(Site([*cluster.hosts.values()], {}), request, answer, [lost])
    ways = sorted(brute(cluster, request, answer, lost))
    if isinstance(found, NoFit):
        assert not ways
        assert sum(found.counts.values()) == found.nodes == len(hosts)
        return
    assert found.cost.all_reduce == found.cost.total == ways[0][0]
    (new,) = [rank for rank in found.ranks if rank not in answer.ranks]
    assert (new.rank, new.leader, len(new.gpus)) == (lost.rank, lost.leader, len(lost.gpus))
    assert new.node == ways[0][2]
    assert {*new.gpus} <= {gpu for group in cluster.hosts[new.node].free for gpu in group}
    assert [rank for rank in found.ranks if rank.rank != lost.rank] == [
        rank for rank in answer.ranks if rank.rank != lost.rank
    ]
    assert found.level == cluster.levels[meet(cluster, [cluster.hosts[rank.node] for rank in found.ranks])]
    assert found.all_reduce_times is not None
    assert found.all_reduce_times.ring == found.cost.all_reduce


@given(st.data())
@settings(deadline=None)
def test_of_a_gang_that_follows_the_topology_the_cost_is_the_one_it_was_placed_by(data: st.DataObject) -> None:
    cluster = data.draw(fleets())
    pipeline = data.draw(st.sampled_from([1, 2, 4]))
    gpus = data.draw(st.integers(1, 2))
    request = data.draw(requests())._replace(
        pods=4, gpus=gpus, leader_gpus=None, slice=None, spread_tier=None, pipeline=pipeline, stage_bytes=1000
    )
    request = request._replace(expert_bytes=data.draw(st.sampled_from([0, 5000])))
    answer = place(cluster, request, tiers=TIERS)
    if isinstance(answer, NoFit):
        return
    cluster = fleet(cluster.hosts.values(), TIERS, request.tiers())
    places = [ordered.place_of(cluster.hosts[rank.node], cluster.levels) for rank in answer.ranks]
    priced = ordered.priced(links.table(cluster.levels), request, places)
    assert cluster.levels[priced.level] == answer.level
    assert priced.all_reduce == answer.cost.all_reduce
    assert (priced.stage_sends, priced.all_to_all) == (answer.cost.stage_sends, answer.cost.all_to_all)


def gang(*nodes: str, gpus: tuple[int, ...] = (0, 1, 2, 3)) -> Assignment:
    """One rank on each node named; of several on one node each has its own GPU."""
    ranks = []
    for number, name in enumerate(nodes):
        mine = gpus if nodes.count(name) == 1 else (nodes[:number].count(name),)
        ranks.append(Rank(rank=number, node=name, gpus=mine))
    made = place(fleet([host("x")], TIERS), Request(pods=1, gpus=4), tiers=TIERS)
    assert isinstance(made, Assignment)
    return Assignment(**{**{name: getattr(made, name) for name in made.__struct_fields__}, "ranks": tuple(ranks)})


def moved(hosts: Sequence[Host], request: Request, answer: Assignment, *lost: int) -> list[str] | str:
    found = replaced(Site(hosts, {}), request, answer, [answer.ranks[number] for number in lost])
    return found.reason if isinstance(found, NoFit) else [rank.node for rank in found.ranks]


def test_the_nearest_node_of_the_domain_is_taken_and_none_outside() -> None:
    hosts = [host(f"n{number}", rack=number // 4) for number in range(8)]
    hosts[1] = hosts[1]._replace(excluded="NotReady")
    hosts[0], hosts[2] = hosts[0].without((0, 1, 2, 3)), hosts[2].without((0, 1, 2, 3))
    request, answer = Request(3, 4, required="nvlinkDomain"), gang("n0", "n1", "n2")
    assert moved(hosts, request, answer, 1) == ["n0", "n3", "n2"]
    hosts[3] = hosts[3].without((0,))
    said = "no node of its nvlinkDomain has room for 4 GPUs in place of those of n1"
    assert moved(hosts, request, answer, 1) == said
    assert moved(hosts, request._replace(required=None), answer, 1) == ["n0", "n4", "n2"]


def test_all_pods_of_a_node_move_together_if_that_costs_no_more() -> None:
    hosts = [host("old"), host("one", free=((0,),)), host("many"), host("stays")]
    hosts = [one._replace(tiers={"leaf": "l"}) for one in hosts]  # no NVLink between them
    hosts[0] = hosts[0]._replace(excluded="cordoned")
    hosts[3] = hosts[3].without((0, 1, 2, 3))
    answer, request = gang("stays", "old", "old", "old"), Request(4, 1)
    assert moved(hosts, request, answer, 1, 2, 3) == ["stays", "many", "many", "many"]
    hosts[2] = hosts[2].without((0, 1))
    assert moved(hosts, request, answer, 1, 2, 3) == ["stays", "one", "many", "many"]
    hosts[2] = hosts[2].without((2,))
    assert moved(hosts, request, answer, 1, 2, 3) == "no node has room for 1 GPUs in place of those of old"


def test_a_slice_stays_in_one_domain_unless_all_of_it_moves() -> None:
    hosts = [host(f"n{number}", rack=number // 2) for number in range(6)]
    request, answer = Request(4, 4, slice=Slice(2, "nvlinkDomain")), gang("n0", "n1", "n2", "n3")
    for number in range(4):
        hosts[number] = hosts[number].without((0, 1, 2, 3))
    hosts[2] = hosts[2]._replace(excluded="cordoned")
    assert "in place of those of n2" in moved(hosts, request, answer, 2)
    hosts[3] = hosts[3]._replace(excluded="cordoned")
    assert moved(hosts, request, answer, 2, 3) == ["n0", "n1", "n4", "n5"]


def test_a_gang_that_is_spread_stays_spread() -> None:
    hosts = [host(f"n{number}", rack=number // 2) for number in range(4)]
    hosts[0], hosts[2] = hosts[0].without((0, 1, 2, 3)), hosts[2]._replace(excluded="cordoned")
    request, answer = Request(2, 4, spread_tier="nvlinkDomain"), gang("n0", "n2")
    assert moved(hosts, request._replace(spread_tier=None), answer, 1) == ["n0", "n1"]
    assert moved(hosts, request, answer, 1) == ["n0", "n3"]
    hosts[3] = hosts[3].without((0,))
    assert "in place of those of n2" in moved(hosts, request, answer, 1)


def test_what_it_prefers_is_kept_if_it_can_be() -> None:
    hosts = [host(f"n{number}", rack=number // 3) for number in range(6)]
    hosts[0], hosts[1] = hosts[0].without((0, 1, 2, 3)), hosts[1]._replace(excluded="cordoned")
    request, answer = Request(2, 4, preferred="nvlinkDomain"), gang("n0", "n1")
    assert moved(hosts, request, answer, 1) == ["n0", "n2"]
    hosts[2] = hosts[2].without((0,))
    assert moved(hosts, request, answer, 1) == ["n0", "n3"]


def test_of_nodes_that_nobody_knows_the_others_decide() -> None:
    hosts = [host("n0").without((0, 1, 2, 3)), host("n1", rack=1), host("n2")]
    request, answer = Request(2, 4, required="nvlinkDomain"), gang("n0", "gone")
    assert moved(hosts, request, answer, 1) == ["n0", "n2"]
    alone = gang("lost", "gone")
    assert "in place of those of gone" in moved(hosts, request, alone, 1)


def test_the_request_of_the_whole_gang_follows_from_its_ranks() -> None:
    answer = gang("a", "b", "c")
    assert of_whole(Request(1, 4, required="leaf"), answer) == Request(3, 4, required="leaf")
    lead = Assignment(
        **{
            **{name: getattr(answer, name) for name in answer.__struct_fields__},
            "ranks": (Rank(rank=0, node="z", gpus=(0,), leader=True), Rank(rank=1, node="a", gpus=(0, 1))),
        }
    )
    assert of_whole(Request(1, 1), lead) == Request(1, 2, leader_gpus=1)
