"""Gangs whose claims are held by pods of ours: no gate before all claims are held, and no holder left behind."""

from collections.abc import Iterator
from typing import Final

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.gangs.claims import BARRIER_SECONDS, HOLD_SECONDS
from nvtopo.gangs.holders import FORCE_SECONDS, HolderPods, holder_name
from nvtopo.gangs.state import LONGEST_REFUSED_SECONDS
from nvtopo.gangs.steps import DropHolder, LeaveHolder, Lift, MakeClaim, MakeHolder, Step
from nvtopo.placement.pods import GATE, PodsListed
from tests.gangs.claimed_world import KEY, Cluster, Leader, bound, pod, turn
from tests.placement.seeds import seeded

SIZE: Final = 3
TURNS: Final = 40
#: Writes until all are bound and the holders are gone: ledger, claims, holders, gates, holders again.
WRITES: Final = 1 + 4 * SIZE


def made(nodes: int = 6, size: int = SIZE) -> Cluster:
    cluster = Cluster(nodes, barrier=False, holding=True)
    cluster.pods = {f"g-{number}": pod(number, size) for number in range(size)}
    return cluster


class Watched(Leader):
    """A leader that lifts the first gate of a gang only once all of its claims are held."""

    def writes(self) -> Iterator[Step | str]:
        for step in super().writes():
            if isinstance(step, Lift) and step.rank is not None and not self.opened():
                raise AssertionError(f"not all are held: {step}")
            yield step

    def opened(self) -> bool:
        """Whether each claim of the gang is given, and had by a pod that is there."""
        now = self.cluster
        there = {one.uid for one in (*now.pods.values(), *now.holder_pods.values())}
        mine = [one for one in now.claims.values() if one.pod]
        return len(mine) == SIZE and all(now.reserved.get(one.name, set()) & there for one in mine)


def run(cluster: Cluster, leader: Leader, turns: int = TURNS) -> None:
    """Until all are bound, and nothing of ours is left but their claims."""
    for _ in range(turns):
        if len(bound(cluster)) == len(cluster.pods) and not cluster.holder_pods:
            break
        turn(cluster, leader)
    else:
        raise AssertionError(f"{cluster.pods} {cluster.claims} {cluster.holder_pods}")
    mine = [claim for claim in cluster.claims.values() if claim.pod]
    given = sorted(gpu for claim in mine for gpu in cluster.named[claim.name])
    assert given == sorted((rank.node, gpu) for rank in cluster.ledger[KEY.id].ranks for gpu in rank.gpus)
    assert sorted(one.node for one in cluster.pods.values()) == sorted({node for node, _gpu in given})


def test_claims_then_holders_then_gates_and_the_holders_go() -> None:
    cluster = made()
    leader = Watched(cluster)
    assert [type(step) for step in turn(cluster, leader)] == [str] + [MakeClaim] * SIZE
    done = turn(cluster, leader)
    assert [type(step) for step in done] == [MakeHolder] * SIZE
    for step in done:
        assert isinstance(step, MakeHolder)
        assert (step.name, step.node) == (holder_name(step.claim), cluster.holder_pods[step.name].node)
    assert leader.gangs.claim_figures.held == 1
    done = turn(cluster, leader)
    assert [type(step) for step in done] == [Lift] * SIZE
    assert [step.claim for step in done if isinstance(step, Lift)] == [*cluster.claims]
    assert len(bound(cluster)) == SIZE
    assert leader.gangs.claim_figures.held == 0
    assert [type(step) for step in turn(cluster, leader)] == [DropHolder] * SIZE
    turn(cluster, leader)
    assert not cluster.holder_pods
    assert all(claim.allocated for claim in cluster.claims.values()), "the pods have taken them over"


def test_no_gate_is_lifted_as_long_as_one_claim_is_not_held() -> None:
    cluster = made()
    leader = Watched(cluster)
    for _ in range(2):
        list(leader.writes())
    first, *_others = cluster.holder_pods
    kept = cluster.holder_pods.pop(first)
    cluster.schedule()
    cluster.holder_pods[first] = kept  # not bound
    assert not [step for step in leader.writes() if isinstance(step, Lift)]
    cluster.schedule()
    assert [type(step) for step in leader.writes()] == [Lift] * SIZE


@pytest.mark.parametrize("before", range(WRITES))
def test_a_rival_before_any_write_leaves_no_half_gang(before: int) -> None:
    cluster = made(nodes=2 * SIZE)
    leader = Watched(cluster)
    count, came = 0, False
    for _ in range(TURNS):
        for _step in leader.writes():
            if count == before:
                free = [gpu for gpu in cluster.free_gpus if gpu not in cluster.holders()]
                wanted = [gpu for gpu in free if any(gpu in named for named in cluster.named.values())]
                came = True
                cluster.rival((wanted or free)[0])
                cluster.schedule()
                assert len(bound(cluster)) in {0, SIZE} or leader.opened()
            count += 1
        cluster.schedule()
        assert not bound(cluster) or leader.opened()
        cluster.collect()
        cluster.now += 1.0
    assert came
    run(cluster, leader)


@pytest.mark.parametrize("writes", range(WRITES))
@pytest.mark.parametrize("rival", [False, True])
def test_a_leader_that_ends_after_any_write_leaves_nothing_that_the_next_one_does_not_finish(
    *, writes: int, rival: bool
) -> None:
    cluster = made(nodes=2 * SIZE)
    leader = Watched(cluster)
    count = 0
    while count < writes:
        for _step in leader.writes():
            count += 1
            if count >= writes:
                break
        cluster.schedule()
        cluster.collect()
        cluster.now += 1.0
    if rival and cluster.ledger:
        wanted = [(rank.node, gpu) for rank in cluster.ledger[KEY.id].ranks for gpu in rank.gpus]
        free = [gpu for gpu in wanted if gpu not in cluster.holders()]
        if free:
            cluster.rival(free[-1])
    run(cluster, Watched(cluster))


def test_a_rival_has_claims_and_holders_deleted_and_the_gang_placed_anew() -> None:
    cluster = made()
    leader = Watched(cluster)
    turn(cluster, leader)
    list(leader.writes())
    taken = (cluster.ledger[KEY.id].ranks[-1].node, 0)
    cluster.rival(taken)
    cluster.schedule()
    assert [bool(one.node) for one in cluster.holder_pods.values()] == [True] * (SIZE - 1) + [False]
    before = {*cluster.holder_pods}
    assert f"released {KEY.id}" in turn(cluster, leader)
    assert all(one.gates for one in cluster.pods.values())
    run(cluster, leader)
    assert not before & {*cluster.holder_pods}
    assert taken not in {gpu for claim in cluster.claims.values() if claim.pod for gpu in cluster.named[claim.name]}
    assert leader.gangs.claim_figures.given_back == 1


def test_what_is_not_held_in_time_is_given_back_and_so_it_is_again_later_each_time() -> None:
    cluster = made()
    leader = Watched(cluster)
    moments: dict[str, list[float]] = {"reserved": [], "released": []}
    while len(moments["reserved"]) < 4:  # nobody schedules
        assert cluster.now < 2000
        for step in leader.writes():
            if isinstance(step, str):
                moments[step.partition(" ")[0]].append(cluster.now)
        cluster.collect()
        cluster.now += 1.0
        assert all(one.gates for one in cluster.pods.values())
        assert cluster.ledger or cluster.now - moments["released"][-1] < 2.0 or not cluster.claims | cluster.holder_pods
    waited = [after - before for before, after in zip(moments["released"], moments["reserved"][1:], strict=True)]
    assert [round(seconds / 60) for seconds in waited] == [0, 1, 2]


def test_an_owner_who_deletes_holders_keeps_the_gpus_for_a_while_only() -> None:
    cluster = made()
    leader = Watched(cluster)
    released = 0
    for _ in range(int(HOLD_SECONDS) + 30):
        released += f"released {KEY.id}" in list(leader.writes())
        for name in [*cluster.holder_pods]:
            cluster.delete_holder(name, at_once=True)
        cluster.collect()
        cluster.now += 1.0
    assert released
    run(cluster, leader, turns=TURNS + int(LONGEST_REFUSED_SECONDS))


@pytest.mark.parametrize("how", ["evicted", "deleted", "claim"])
def test_a_holder_or_claim_that_goes_before_all_are_held_is_made_again(how: str) -> None:
    cluster = made()
    leader = Watched(cluster)
    for _ in range(2):
        turn(cluster, leader)
    name, holder = next(iter(cluster.holder_pods.items()))
    if how == "evicted":
        cluster.holder_pods[name] = replace(holder, ended=True)
    elif how == "deleted":
        cluster.delete_holder(name)
    else:
        cluster.delete_claim(holder.holds)
    cluster.collect()
    assert not [step for step in turn(cluster, leader) if isinstance(step, Lift)]
    run(cluster, leader)


@pytest.mark.parametrize("how", ["evicted", "deleted"])
def test_once_a_gate_is_lifted_nothing_is_given_back_and_no_holder_is_made_again(how: str) -> None:
    cluster = made()
    leader = Watched(cluster)
    for _ in range(2):
        turn(cluster, leader)
    for step in leader.writes():
        assert isinstance(step, Lift)
        break
    name, holder = list(cluster.holder_pods.items())[-1]
    if how == "evicted":
        cluster.holder_pods[name] = replace(holder, ended=True)
    else:
        cluster.delete_holder(name, at_once=True)
    cluster.collect()
    after = Leader(cluster)
    cluster.now += BARRIER_SECONDS + HOLD_SECONDS
    steps = list(after.writes())
    assert not [step for step in steps if isinstance(step, str | MakeHolder)]
    assert [type(step) for step in steps if isinstance(step, Lift)] == [Lift] * (SIZE - 1)
    run(cluster, after)


def test_a_holder_that_is_refused_gives_all_back_says_why_and_waits_longer_each_time() -> None:
    cluster = made()
    cluster.takes_holders = False
    leader = Watched(cluster)
    waited: list[float] = []
    for _ in range(4):
        before = cluster.now
        while not cluster.ledger:
            turn(cluster, leader)
        waited.append(cluster.now - before)
        for _ in range(8):
            turn(cluster, leader)
        assert not {*cluster.ledger, *cluster.claims}
        said = "a pod that is to hold its GPUs is refused, so they are given back: exceeded quota: pods"
        assert cluster.pods["g-0"].status == said
    assert [round(seconds / 60) for seconds in waited] == [0, 1, 2, 4]
    cluster.takes_holders = True
    run(cluster, leader, turns=int(LONGEST_REFUSED_SECONDS))


def test_what_was_not_made_yet_is_left_when_a_gang_gives_its_gpus_back() -> None:
    cluster = made()
    cluster.takes_holders = False
    leader = Watched(cluster)
    left = [step for _ in range(4) for step in turn(cluster, leader) if isinstance(step, LeaveHolder)]
    assert len(left) == SIZE


def test_a_kubelet_that_is_not_heard_does_not_keep_a_gang_waiting() -> None:
    cluster = made(nodes=SIZE)
    leader = Watched(cluster)
    for _ in range(2):
        turn(cluster, leader)
    cluster.deaf = {holder.node for holder in cluster.holder_pods.values()}
    cluster.now += BARRIER_SECONDS
    for name, holder in [*cluster.holder_pods.items()][:1]:  # so that it is late, though the others are held
        cluster.holder_pods[name] = replace(holder, node="")
    assert f"released {KEY.id}" in turn(cluster, leader)
    run(cluster, leader, turns=int(FORCE_SECONDS) + TURNS)


@pytest.mark.parametrize("how", ["label", "ended", "leaving", "gang"])
def test_a_holder_of_a_pod_that_waits_no_more_goes(how: str) -> None:
    cluster = made()
    leader = Watched(cluster)
    for _ in range(2):
        turn(cluster, leader)
    gone = cluster.pods["g-0"]
    cluster.pods["g-0"] = {
        "label": replace(gone, gang=""),
        "ended": replace(gone, ended=True),
        "leaving": replace(gone, leaving=True),
        "gang": replace(gone, gang="h"),
    }[how]
    done = list(leader.writes())
    assert not [step for step in done if isinstance(step, Lift)]
    dropped = [step.holder.owner for step in done if isinstance(step, DropHolder)]
    assert dropped == ["u0-0"]


def test_without_the_option_no_holder_is_seen_or_touched() -> None:
    cluster = made()
    cluster.holding = False
    leader = Leader(cluster)
    stranger = replace(pod(7), gates=(), gang="", claim="", holds="x", owner="u", node="n0", leaving_at=-1e9)
    cluster.holder_pods["g-7"] = stranger
    steps = [step for _ in range(8) for step in turn(cluster, leader)]
    assert len(bound(cluster)) == SIZE
    assert not [step for step in steps if isinstance(step, MakeHolder | DropHolder)]


def test_a_pod_whose_claim_is_held_can_still_go_elsewhere_until_it_is_bound() -> None:
    """It waits as one that the barrier holds: its claim alone says where it goes."""
    cluster = made()
    leader = Watched(cluster)
    for _ in range(2):
        turn(cluster, leader)
    lifts = [step for step in leader.writes() if isinstance(step, Lift)]
    assert [step.claim for step in lifts] == [*cluster.claims]
    assert all(one.waiting and GATE not in one.gates for one in cluster.pods.values())


def test_holders_are_listed_anew() -> None:
    holders = HolderPods(on=True)
    owner = pod(0)
    held = replace(pod(1), name=holder_name("c"), uid="h", gang="", claim="", holds="c", owner=owner.uid, node="n0")
    assert {*holders.fold(PodsListed((owner, held)))} == {("team", owner.uid)}
    assert holders.holds(owner, "c")
    assert not holders.holds(owner, "d")
    assert not [*holders.strays(0.0)]
    assert {*holders.fold(PodsListed((held,)))} == {("team", owner.uid)}
    assert [*holders.strays(0.0)] == [DropHolder(held)], "nobody waits for it"
    assert {*holders.fold(PodsListed((owner,)))} == {("team", owner.uid)}
    assert not holders.of(owner)


def test_a_holder_of_another_namespace_holds_nothing_whatever_it_says() -> None:
    holders = HolderPods(on=True)
    owner = pod(0)
    there = replace(pod(1), namespace="other", name=holder_name("c"), gang="", claim="", holds="c", owner=owner.uid)
    holders.fold(PodsListed((owner, replace(there, node="n0"))))
    assert not holders.holds(owner, "c")
    assert [one.holder.namespace for one in holders.strays(0.0)] == ["other"]
    assert not [*holders.strays(0.0)], "named once"
    holders.begin()
    assert len([*holders.strays(0.0)]) == 1


@pytest.mark.slow
@hypothesis.given(st.integers(0, 2**32))
def test_ends_of_leaders_and_rivals_leave_no_half_gang_and_no_holder(seed: int) -> None:
    """Never one bound while another has not its GPUs; at last all are bound, and no holder is left."""
    draw, cluster = seeded(seed), made(nodes=8)
    leader = Watched(cluster)
    for _ in range(draw.randrange(2, 14)):
        ends = draw.randrange(12)
        for number, _step in enumerate(leader.writes()):
            if number == ends:
                leader = Watched(cluster)
                break
        free = [gpu for gpu in cluster.free_gpus if gpu not in cluster.holders()]
        if draw.random() < 0.2 and len(free) > 8:
            cluster.rival(draw.choice(free))
        if draw.random() < 0.1:
            cluster.now += BARRIER_SECONDS
        if draw.random() < 0.6:
            cluster.schedule()
        assert not bound(cluster) or leader.opened()
        if draw.random() < 0.7:
            cluster.collect()
        cluster.now += 1.0
    for name in [name for name in cluster.claims if name.startswith("rival")]:
        del cluster.claims[name]
    run(cluster, leader, turns=TURNS + int(LONGEST_REFUSED_SECONDS))


@pytest.mark.slow
@hypothesis.given(st.integers(0, 2**32))
def test_whatever_its_owner_does_a_gang_comes_to_run_and_leaves_no_holder(seed: int) -> None:
    """The owner deletes and evicts holders, deletes claims and pods that wait, and lifts gates as it likes."""
    draw, cluster = seeded(seed), made(nodes=8)
    leader = Leader(cluster)
    generation = 0
    for _ in range(draw.randrange(2, 14)):
        turn(cluster, leader)
        leader.look()  # no event is lost
        act = draw.randrange(6)
        name = draw.choice([*cluster.holder_pods]) if cluster.holder_pods else ""
        if act == 0 and name:
            cluster.delete_holder(name, at_once=draw.random() < 0.5)
        elif act == 1 and name:
            cluster.holder_pods[name] = replace(cluster.holder_pods[name], ended=True)
        elif act == 2 and cluster.claims:
            cluster.delete_claim(draw.choice([*cluster.claims]))
        elif act == 3:
            generation += 1
            at = draw.randrange(SIZE)
            cluster.pods[f"g-{at}"] = pod(at, generation=generation)
        elif act == 4:
            leader = Leader(cluster)
    run(cluster, leader, turns=TURNS + int(HOLD_SECONDS + LONGEST_REFUSED_SECONDS))
