"""Exact GPUs for a gang: claims before gates, nobody bound before all have their GPUs, and nothing left behind."""

import itertools
from typing import Final

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.gangs.claims import BARRIER_SECONDS, HOLD_SECONDS, GangClaims, claim_name
from nvtopo.gangs.gang import Key, asked
from nvtopo.gangs.policy import Gangs
from nvtopo.gangs.state import LONGEST_REFUSED_SECONDS
from nvtopo.gangs.steps import (
    DropClaim,
    Fail,
    FreeClaim,
    LeaveClaim,
    Lift,
    MakeClaim,
    OpenClaim,
    Refusal,
    Say,
)
from nvtopo.placement.device_claims import DeviceClaim, GangDevice
from nvtopo.placement.pods import PodsListed
from nvtopo.placement.result import Assignment, Costs, Rank
from tests.calls import calls
from tests.gangs.claimed_world import KEY, Cluster, Leader, bound, pod, turn
from tests.placement.seeds import seeded

TURNS: Final = 40


def made(nodes: int = 6, size: int = 3, *, barrier: bool = True) -> Cluster:
    cluster = Cluster(nodes, barrier=barrier)
    cluster.pods = {f"g-{number}": pod(number, size) for number in range(size)}
    return cluster


def run(cluster: Cluster, leader: Leader, turns: int = TURNS) -> None:
    for _ in range(turns):
        if len(bound(cluster)) == len(cluster.pods):
            return
        turn(cluster, leader)
    raise AssertionError(f"not bound: {cluster.pods} {cluster.claims}")


@pytest.mark.parametrize("barrier", [True, False])
def test_each_pod_is_bound_with_the_gpus_that_were_reserved_for_its_rank(barrier: bool) -> None:
    cluster = made(barrier=barrier)
    run(cluster, Leader(cluster))
    ranks = cluster.ledger[KEY.id].ranks
    for one in cluster.pods.values():
        assert one.rank is not None
        (claim,) = (claim for claim in cluster.claims.values() if claim.pod == one.uid)
        assert cluster.named[claim.name] == {(ranks[one.rank].node, gpu) for gpu in ranks[one.rank].gpus}
        assert (one.node, one.rank) == (ranks[one.rank].node, one.order[0])
        assert claim.barrier == barrier


def test_a_claim_is_there_before_the_gate_is_lifted() -> None:
    cluster = made()
    leader = Leader(cluster)
    for step in leader.writes():
        assert not isinstance(step, Lift)
    assert all(one.gates for one in cluster.pods.values())
    assert len(cluster.claims) == 3
    assert [type(step) for step in leader.writes()] == [Lift] * 3


def test_nobody_is_opened_before_all_have_their_gpus() -> None:
    cluster = made()
    leader = Leader(cluster)
    for _ in range(2):
        list(leader.writes())
    first, *others = cluster.claims.values()
    for one in others:
        cluster.put(given(one))
    assert not [step for step in leader.writes() if isinstance(step, OpenClaim)]
    cluster.put(given(first))
    assert [type(step) for step in leader.writes()] == [OpenClaim] * 3


def given(claim: DeviceClaim) -> DeviceClaim:
    """It has its GPUs, and a share of the gangs' device."""
    share = GangDevice("nvtopo-gangs", "gang", claim.name)
    return claim._replace(allocated=True, gang=share, gpus=(("p", "d"),))


def test_a_rival_leaves_nobody_bound_and_the_gang_goes_elsewhere() -> None:
    cluster = made()
    leader = Leader(cluster)
    for _ in range(2):
        list(leader.writes())  # placed, with claims, and lifted
    before = {gpu for claim in cluster.named.values() for gpu in claim}
    taken = min(before)
    cluster.rival(taken)
    cluster.schedule()
    assert sum(one.allocated for one in cluster.claims.values()) == 3  # two of the gang, and the rival
    done = turn(cluster, leader)
    assert f"released {KEY.id}" in done
    assert [type(step) for step in done if isinstance(step, FreeClaim | DropClaim)].count(FreeClaim) == 2
    assert not bound(cluster)
    run(cluster, leader)
    assert taken not in {
        gpu for name, gpus in cluster.named.items() if name in cluster.claims and "rival" not in name for gpu in gpus
    }


@pytest.mark.parametrize("barrier", [True, False])
@pytest.mark.parametrize("quota", [0, 2])
def test_a_gang_whose_claim_is_refused_gives_all_back_and_waits_longer_each_time(*, barrier: bool, quota: int) -> None:
    cluster = made(barrier=barrier)
    cluster.quota = quota
    leader = Leader(cluster)
    waited: list[float] = []
    for _ in range(6):
        before = cluster.now
        while not cluster.ledger:
            turn(cluster, leader)
        waited.append(cluster.now - before)
        assert f"released {KEY.id}" in turn(cluster, leader)
        assert not cluster.ledger
        assert not bound(cluster)
        for _ in range(6):
            turn(cluster, leader)
        assert not cluster.claims, "those that were made meanwhile are gone"
        assert "exceeded quota" in cluster.pods["g-0"].status
    assert [round(seconds / 60) for seconds in waited] == [0, 1, 2, 4, 8, 10]
    cluster.now += LONGEST_REFUSED_SECONDS
    cluster.quota = 1000
    run(cluster, leader)


def test_pauses_begin_anew_once_a_gang_was_bound() -> None:
    cluster = made()
    cluster.quota = 2
    leader = Leader(cluster)
    for _ in range(200):
        turn(cluster, leader)
    cluster.quota = 1000
    cluster.now += LONGEST_REFUSED_SECONDS
    run(cluster, leader)
    gang = leader.gangs._gangs[KEY]
    assert gang._given_up == 0


def test_a_refusal_gives_nothing_back_once_a_pod_runs() -> None:
    cluster = made()
    leader = Leader(cluster)
    run(cluster, leader)
    cluster.quota = 2
    cluster.pods["g-1"] = pod(1, generation=1)
    cluster.collect()
    for _ in range(900):
        assert not [step for step in turn(cluster, leader) if isinstance(step, str | LeaveClaim)]
    assert KEY.id in cluster.ledger
    cluster.quota = 3
    run(cluster, leader)


def test_a_refusal_of_what_is_not_wanted_any_more_is_nothing() -> None:
    cluster = made()
    leader = Leader(cluster)
    for _ in range(2):
        turn(cluster, leader)
    assert len(cluster.claims) == 3
    for refused in (Refusal("team", "nobody", "c", "no"), Refusal("team", "u1-0", "c", "of an earlier place")):
        leader.gangs.refuse(refused)
    for claim in cluster.claims.values():  # it was made all the same
        leader.gangs.refuse(Refusal("team", claim.pod, claim.name, "late"))
    run(cluster, leader)
    assert KEY.id in cluster.ledger


def test_a_gang_without_a_place_does_not_hear_refusals() -> None:
    cluster = made(nodes=1)
    leader = Leader(cluster)
    turn(cluster, leader)
    leader.gangs.refuse(Refusal("team", "u1-0", "c", "exceeded quota"))
    assert not [step for step in turn(cluster, leader) if isinstance(step, str) and step.startswith("released")]


def test_what_was_not_made_yet_is_left_when_a_gang_gives_its_gpus_back() -> None:
    cluster = made()
    cluster.quota = 1
    leader = Leader(cluster)
    turn(cluster, leader)
    left = {step.name for step in turn(cluster, leader) if isinstance(step, LeaveClaim)}
    assert len(left) == 2
    assert not left & cluster.claims.keys()


def test_without_a_barrier_no_gate_is_lifted_before_all_claims_are_there() -> None:
    cluster = made(barrier=False)
    leader = Leader(cluster)
    turn(cluster, leader)
    gone = cluster.claims.pop(next(iter(cluster.claims)))
    assert [step.name for step in turn(cluster, leader) if isinstance(step, MakeClaim)] == [gone.name]
    assert all(one.gates for one in cluster.pods.values())
    assert [type(step) for step in turn(cluster, leader)] == [Lift] * 3


@pytest.mark.parametrize("barrier", [True, False])
def test_a_gang_whose_owner_keeps_it_from_getting_whole_holds_its_gpus_for_a_while_only(*, barrier: bool) -> None:
    """The claims are the owner's: here one is deleted, and made anew, before it is late."""
    cluster = made(barrier=barrier)
    leader = Leader(cluster)
    released = []
    for number in range(4000):
        released += [cluster.now for step in leader.writes() if step == f"released {KEY.id}"]
        for claim in [*cluster.claims.values()]:
            if not barrier or (number % 60 == 0 and claim.pod == f"u{number // 60 % 2}-0"):
                del cluster.claims[claim.name]
        cluster.now += 1.0
    between = [round((after - before - HOLD_SECONDS) / 60) for before, after in itertools.pairwise(released)]
    assert between[:3] == [0, 1, 2]


def test_a_gang_whose_owner_lifts_its_gates_and_makes_no_claim_holds_no_gpus_for_ever() -> None:
    cluster = made()
    leader = Leader(cluster)
    turn(cluster, leader)
    cluster.claims.clear()
    for name, one in cluster.pods.items():
        cluster.pods[name] = replace(one, gates=(), reservation=KEY.id, rank=one.order[0])
    for _ in range(int(HOLD_SECONDS) + 2):
        turn(cluster, leader)
    assert not cluster.ledger


def test_a_pod_of_an_unnumbered_gang_that_goes_while_the_barrier_holds_it_does_not_stop_the_clock() -> None:
    cluster = made()
    cluster.pods = {name: replace(one, order=()) for name, one in cluster.pods.items()}
    leader = Leader(cluster)
    for _ in range(2):
        list(leader.writes())
    list(leader.writes())
    assert leader.gangs.claim_figures.held == 1
    del cluster.pods["g-1"]
    for _ in range(int(HOLD_SECONDS) + 2):
        turn(cluster, leader)
    assert not cluster.ledger


def test_without_a_barrier_nothing_is_given_back() -> None:
    cluster = made(barrier=False)
    leader = Leader(cluster)
    for _ in range(2):
        list(leader.writes())
    cluster.rival(min(gpu for claim in cluster.named.values() for gpu in claim))
    for _ in range(5):
        assert not [step for step in turn(cluster, leader) if not isinstance(step, Lift)]
    assert len(bound(cluster)) == 2


def test_gpus_that_are_not_given_in_time_are_given_back() -> None:
    cluster = made()
    leader = Leader(cluster)
    for _ in range(2):
        list(leader.writes())
    cluster.now += BARRIER_SECONDS
    assert leader.gangs.seconds_until_next(cluster.now) == 0
    assert f"released {KEY.id}" in turn(cluster, leader)
    run(cluster, leader)


def test_once_one_is_opened_nothing_is_given_back_and_the_others_follow() -> None:
    cluster = made()
    leader = Leader(cluster)
    for _ in range(2):
        turn(cluster, leader)
    for step in leader.writes():
        if isinstance(step, OpenClaim):
            break  # the replica ends here
    cluster.schedule()
    assert len(bound(cluster)) == 1
    cluster.now += 2 * BARRIER_SECONDS
    again = Leader(cluster)
    run(cluster, again)
    assert len({*cluster.ledger}) == 1


def test_a_pod_that_comes_for_one_that_is_gone_gets_its_gpus() -> None:
    cluster = made()
    leader = Leader(cluster)
    run(cluster, leader)
    gone = cluster.pods.pop("g-1")
    held = next(cluster.named[name] for name, claim in cluster.claims.items() if claim.pod == gone.uid)
    cluster.collect()
    cluster.pods["g-1"] = pod(1, generation=1)
    run(cluster, leader)
    again = next(cluster.named[name] for name, claim in cluster.claims.items() if claim.pod == "u1-1")
    assert (again, cluster.pods["g-1"].node) == (held, gone.node)


def test_all_goes_with_the_pods() -> None:
    cluster = made()
    leader = Leader(cluster)
    run(cluster, leader)
    cluster.pods.clear()
    cluster.collect()
    turn(cluster, leader)
    assert not cluster.ledger
    assert not cluster.claims


@hypothesis.given(st.integers(0, 2**32))
def test_ends_of_leaders_and_rivals_leave_no_half_gang_and_nothing_behind(seed: int) -> None:
    """Never one bound while another has not its GPUs; at last all are bound, with one claim and one place each."""
    draw, cluster = seeded(seed), made(nodes=8)
    leader = Leader(cluster)
    for _ in range(draw.randrange(2, 12)):
        ends = draw.randrange(12)
        for number, _step in enumerate(leader.writes()):
            if number == ends:
                leader = Leader(cluster)
                break
        if draw.random() < 0.2 and len(cluster.holders()) < 8:
            free = [gpu for gpu in cluster.free_gpus if gpu not in cluster.holders()]
            cluster.rival(draw.choice(free))
        if draw.random() < 0.1:
            cluster.now += BARRIER_SECONDS
        if draw.random() < 0.6:
            cluster.schedule()
        if bound(cluster):
            assert all(
                one.node or any(c.allocated and c.pod == one.uid for c in cluster.claims.values())
                for one in cluster.pods.values()
            )
        cluster.collect()
        cluster.now += 1.0
    for name in [name for name in cluster.claims if name.startswith("rival")]:
        del cluster.claims[name]
    run(cluster, leader, turns=TURNS + int(LONGEST_REFUSED_SECONDS))
    mine = [claim for claim in cluster.claims.values() if claim.pod]
    assert len(mine) == 3
    assert {*cluster.ledger} == {KEY.id}
    given_gpus = [gpu for claim in mine for gpu in cluster.named[claim.name]]
    assert sorted(given_gpus) == sorted(
        {(rank.node, gpu) for rank in cluster.ledger[KEY.id].ranks for gpu in rank.gpus}
    )


def test_a_gang_without_a_place_in_time_is_opened_with_claims_of_any_gpus() -> None:
    cluster = made(nodes=0)
    wishes = "{timeoutSeconds: 5, onTimeout: open}"
    cluster.pods = {name: replace(one, wishes=wishes) for name, one in cluster.pods.items()}
    leader = Leader(cluster)
    cluster.now = 6.0
    steps = list(leader.writes())
    assert [(type(step), getattr(step, "rank", 0)) for step in steps] == [(MakeClaim, None)] * 3
    assert [type(step) for step in leader.writes()] == [Lift] * 3
    assert not [step for step in leader.writes() if not isinstance(step, Say | Fail)]
    assert all(not one.gates and not one.lifted_for for one in cluster.pods.values())


def test_a_gang_by_claims_says_what_it_lacks() -> None:
    without = Gangs()
    without.fold(PodsListed((pod(0, 1),)))
    without.begin({}, 0.0)
    (said,) = without.plan(0.0).steps
    assert isinstance(said, Say)
    assert "--gang-claims" in said.reason
    cluster = made(size=1)
    cluster.pods["g-0"] = replace(cluster.pods["g-0"], claim_made="g-0-gpus-x7k2p")
    why = next(Leader(cluster).writes())
    assert isinstance(why, Say)
    assert "delete the template nvtopo-gpus-2, and these pods" in why.reason


@pytest.mark.parametrize("changes", [{"gpus": 2}, {"claim": "", "claimed": 0, "gpus": 2}])
def test_pods_that_ask_in_two_ways_are_no_gang(changes: dict[str, int]) -> None:
    with pytest.raises(ParseError, match="alone, got both"):
        asked(KEY, (pod(0, 2), replace(pod(1, 2), **changes)))


def test_pods_that_ask_for_no_number_of_gpus_are_no_gang() -> None:
    with pytest.raises(ParseError, match="nvtopo-gpus-N, N up to 31"):
        asked(KEY, (pod(0, 1, claimed=0),))


def test_a_claim_s_name_follows_from_reservation_pod_and_place() -> None:
    rank = Cluster(3)
    rank.pods = {"g-0": pod(0, 1)}
    answer = rank.place()
    assert answer is not None
    names = {
        claim_name(pod(0), key, place)
        for key in (KEY.id, Key("team", "h").id)
        for place in (None, answer.ranks[0], replace(answer.ranks[0], gpus=(0,)), replace(answer.ranks[0], node="n9"))
    }
    assert len(names) == 8
    assert claim_name(pod(0), KEY.id, answer.ranks[0]) == claim_name(pod(0), KEY.id, answer.ranks[0])
    assert claim_name(pod(0, generation=1), KEY.id, None) != claim_name(pod(0), KEY.id, None)
    assert len(claim_name(pod(0, name="a" * 199 + ".b" * 27), KEY.id, None)) <= 253
    assert ".." not in claim_name(pod(0, name="a" * 199 + ".b" * 27), KEY.id, None)


def test_a_claim_of_an_earlier_place_goes_before_the_new_one_comes() -> None:
    """Kubernetes would take the old one for the pod's own."""
    cluster = made(size=1)
    leader = Leader(cluster)
    list(leader.writes())
    (old,) = cluster.claims.values()
    answer = cluster.ledger.pop(KEY.id)
    cluster.free_gpus = cluster.free_gpus[2:]
    moved = cluster.place()
    assert moved is not None
    assert moved != answer
    cluster.ledger[KEY.id] = moved
    again = Leader(cluster)
    assert [type(step) for step in again.writes()] == [DropClaim]
    assert not cluster.claims
    assert [type(step) for step in again.writes()] == [MakeClaim]
    assert old.name not in cluster.claims
    run(cluster, again)


def test_a_claim_of_another_namespace_is_no_claim_of_the_pod_whatever_it_says() -> None:
    cluster = made()
    leader = Leader(cluster)
    turn(cluster, leader)
    mine = next(iter(cluster.claims.values()))
    stranger = mine._replace(namespace="other", uid="x", allocated=True, ready=True)
    leader.gangs.see_claim(stranger.key, stranger)
    leader.gangs.see_claim(mine.key, mine)
    leader.gangs.see_claim(stranger.key, None)
    run(cluster, leader)


def test_a_claim_of_a_pod_that_was_made_anew_under_its_name_outlives_the_gang() -> None:
    cluster = made()
    leader = Leader(cluster)
    turn(cluster, leader)
    stuck = next(one for one in cluster.claims.values() if one.pod == "u0-0")
    cluster.pods["g-0"] = pod(0, generation=1)  # its end was missed
    run(cluster, leader)
    cluster.pods.clear()
    turn(cluster, leader)
    assert leader.gangs.figures == (0, 0)
    leader.gangs.see_claim(stuck.key, stuck._replace(version="x", leaving=True))


@pytest.mark.parametrize("gangs", [10, 300])
def test_a_claim_of_a_gang_that_gets_its_gpus_costs_the_same_beside_many_gangs(gangs: int) -> None:
    held = Gangs(GangClaims(lambda _node, _gpu: None, lambda _answer: True))
    pods = [pod(0, 1, uid=f"u{number}", name=f"g{number}", gang=f"g{number}") for number in range(gangs)]
    held.fold(PodsListed(tuple(pods)))
    held.list_claims({})
    held.begin({}, 0.0)
    cost = Costs(total=0, bound=0, all_reduce=0)
    answer = Assignment(
        generation=1, level="node", domain="d", cost=cost, domains={}, ranks=(Rank(rank=0, node="n", gpus=(0, 1)),)
    )
    for number in range(gangs):
        held.placed(Key("team", f"g{number}"), answer, 0.0)
    for step in held.plan(0.0).steps:
        assert isinstance(step, MakeClaim)
        made_claim = DeviceClaim(
            "team", step.name, "u", "1", pod=step.pod.uid, reservation=step.reservation, barrier=True
        )
        held.see_claim(made_claim.key, made_claim)
    held.plan(0.0)
    assert held.claim_figures.held == gangs

    def took(claim: DeviceClaim) -> int:
        held.see_claim(claim.key, claim)
        return calls(lambda: held.stir_held(claim)) + sum(isinstance(step, Lift) for step in held.plan(0.0).steps)

    mine = made_claim._replace(gang=GangDevice("p", "d", "s"), allocated=True)
    assert took(mine) < 10
    assert took(mine._replace(namespace="other")) >= gangs, "what a stranger's claim takes may be anybody's"


def test_a_gang_says_which_claim_of_an_earlier_place_it_waits_for() -> None:
    cluster = made(size=1)
    leader = Leader(cluster)
    list(leader.writes())
    (stuck,) = cluster.claims.values()
    cluster.put(stuck._replace(leaving=True))
    cluster.ledger.clear()
    again = Leader(cluster)
    (said,) = {*again.writes()}
    assert isinstance(said, Say)
    assert stuck.name in said.reason
    assert not [*again.writes()], "it stands there"
    cluster.claims.clear()
    run(cluster, again)


def test_what_is_given_back_is_named_once() -> None:
    cluster = made()
    leader = Leader(cluster)
    turn(cluster, leader)
    turn(cluster, leader)
    for one in [*cluster.claims.values()]:
        cluster.put(given(one)._replace(ready=False))
    cluster.ledger.clear()
    again = Leader(cluster)
    assert {type(step) for step in again.gangs.plan(cluster.now).steps} == {FreeClaim}
    assert again.gangs.plan(cluster.now).steps == ()


@pytest.mark.parametrize("size", [4, 64])
def test_a_gang_of_which_nothing_changed_costs_the_same_however_large_it_is(size: int) -> None:
    cluster = made(nodes=size, size=size)
    leader = Leader(cluster)
    run(cluster, leader)
    leader.look()
    leader.gangs.plan(cluster.now)
    leader.gangs.seconds_until_next(cluster.now)
    assert calls(lambda: leader.gangs.plan(cluster.now)) < 40
    assert calls(lambda: leader.gangs.seconds_until_next(cluster.now)) < 40
    assert calls(leader.gangs.look_again) < 40
