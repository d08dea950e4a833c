"""What is done for gangs of gated pods: whole or not at all, once, in order, and again after a change of leaders."""

from collections.abc import Iterable
from itertools import pairwise
from math import inf
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.errors import ParseError
from nvtopo.gangs.gang import Key, asked, key_of, size_of
from nvtopo.gangs.policy import ORPHAN_SECONDS, Gangs
from nvtopo.gangs.state import LONGEST_SECONDS
from nvtopo.gangs.steps import MOST_ATTEMPTS, Fail, Lift, Result, Say
from nvtopo.placement.pods import GATE, GpuPod, InUse, PodGone, PodSeen, PodsListed, in_order
from nvtopo.placement.result import Assignment, Costs, NoFit, Rank

KEY: Final = Key("team", "g")


def pod(number: int, size: int = 3, **changes: Any) -> GpuPod:
    made = GpuPod(
        namespace="team", name=f"g-{number}", uid=f"u{number}", gpus=2, gates=(GATE,), gang="g", size=str(size)
    )
    return replace(made, **{"order": (number,), **changes})


def assignment(pods: int = 3, gpus: int = 2, first: int = 0) -> Assignment:
    ranks = tuple(Rank(rank=rank, node=f"n{first + rank}", gpus=tuple(range(gpus))) for rank in range(pods))
    cost = Costs(total=0, bound=0, all_reduce=0)
    return Assignment(generation=1, level="nvlinkDomain", domain="d", cost=cost, domains={}, ranks=ranks)


def lifted(one: GpuPod, answer: Assignment, rank: int) -> GpuPod:
    """The pod once its gate was lifted, and bound."""
    return replace(one, gates=(), rank=rank, reservation=KEY.id, node=answer.ranks[rank].node)


def gangs(*pods: GpuPod, held: dict[str, Assignment] | None = None) -> Gangs:
    made = Gangs()
    made.fold(PodsListed(pods))
    made.begin(held or {}, 0.0)
    return made


WHOLE: Final = tuple(pod(number) for number in range(3))


def test_nothing_is_done_before_pods_and_reservations_are_known() -> None:
    made = Gangs()
    made.fold(PodSeen(pod(0, 1)))
    made.begin({KEY.id: assignment(1)}, 0.0)
    assert made.plan(100.0) == ((), (), ())
    made.fold(PodsListed((pod(0, 1),)))
    assert [type(step) for step in made.plan(100.0).steps] == [Lift]
    unread = Gangs()
    unread.fold(PodsListed(WHOLE))
    assert unread.plan(100.0) == ((), (), ())


def test_a_gang_is_tried_once_it_is_whole_and_lifted_in_the_order_of_ranks() -> None:
    made = gangs(*WHOLE[:2])
    plan = made.plan(0.0)
    assert (plan.attempts, plan.steps) == ((), (Say(WHOLE[0], "2 of its 3 pods are there"),))
    made.fold(PodSeen(WHOLE[2]))
    (attempt,) = made.plan(2.0).attempts
    assert (attempt.asked.parsed.request.pods, attempt.asked.parsed.request.gpus) == (3, 2)
    answer = assignment()
    made.placed(KEY, answer, 2.0)
    assert made.plan(2.0).steps == tuple(Lift(one, KEY.id, answer.ranks[at]) for at, one in enumerate(WHOLE))
    assert made.plan(3.0) == ((), (), ())
    assert made.figures == (0, 1)


def test_what_finds_no_place_says_why_and_is_tried_less_and_less_often() -> None:
    made = gangs(*WHOLE)
    no_fit = NoFit(generation=1, reason="no rack has room", nodes=1, counts={"full": 1})
    moments, now = [], 0.0
    while now < 300:
        if made.plan(now).attempts:
            moments.append(now)
            made.placed(KEY, no_fit, now)
            assert made.plan(now).steps == (Say(WHOLE[0], "no rack has room"),)
        now += 1
    gaps = [after - before for before, after in pairwise(moments)]
    assert gaps[:4] == [1, 2, 4, 8]
    assert max(gaps) == LONGEST_SECONDS
    made.fold(PodSeen(replace(WHOLE[0], status="no rack has room")))  # what was written comes back as an event
    assert made.plan(now).steps == ()


def test_one_that_becomes_free_is_tried_at_once_but_not_more_than_once_a_second() -> None:
    made = gangs(*WHOLE)
    for now in range(20):
        if made.plan(now).attempts:
            made.placed(KEY, NoFit(generation=1, reason="full", nodes=0, counts={}), now)
    tried = 15.0  # 0, 1, 3, 7, 15
    made.stir(tried + 0.5)
    assert not made.plan(tried + 0.5).attempts
    assert made.plan(tried + 1.0).attempts


def test_the_next_leader_lifts_the_other_gates_by_the_same_answer() -> None:
    answer = assignment()
    made = gangs(lifted(WHOLE[1], answer, 1), WHOLE[0], WHOLE[2], held={KEY.id: answer})
    plan = made.plan(0.0)
    assert plan.steps == (Lift(WHOLE[0], KEY.id, answer.ranks[0]), Lift(WHOLE[2], KEY.id, answer.ranks[2]))
    assert not plan.attempts


def test_a_pod_that_comes_for_one_that_is_gone_gets_its_rank() -> None:
    answer = assignment()
    running = [lifted(one, answer, at) for at, one in enumerate(WHOLE)]
    made = gangs(*running, held={KEY.id: answer})
    assert made.plan(0.0).steps == ()
    new = pod(1, name="g-1-b", uid="v1")
    made.fold(PodSeen(new))
    assert made.plan(1.0).steps == ()  # the one before it still holds its GPUs
    made.fold(PodSeen(replace(running[1], leaving=True)))
    assert made.plan(2.0).steps == ()
    made.fold(PodGone("team", "g-1"))
    assert made.plan(3.0).steps == (Lift(new, KEY.id, answer.ranks[1]),)


def test_a_pod_that_comes_for_another_and_asks_for_other_gpus_says_why_it_waits() -> None:
    answer = assignment()
    other = pod(2, gpus=4, name="g-2-b")
    made = gangs(*(lifted(pod(number), answer, number) for number in range(2)), other, held={KEY.id: answer})
    (said,) = made.plan(0.0).steps
    assert said == Say(other, "its gang has its place: expected a pod that asks for 2 GPUs, got one that asks for 4")
    made.fold(PodSeen(replace(other, status=said.reason, wishes=" ")))
    assert made.plan(0.0).steps == ()


def test_the_reservation_ends_with_the_last_pod() -> None:
    answer = assignment()
    running = [lifted(one, answer, at) for at, one in enumerate(WHOLE)]
    made = gangs(*running, held={KEY.id: answer})
    assert made.plan(0.0).ended == ()
    made.fold(PodSeen(replace(running[0], ended=True)))
    made.fold(PodGone("team", "g-1"))
    assert made.plan(1.0).ended == ()
    made.fold(PodSeen(replace(running[2], leaving=True)))
    assert made.plan(1.0).ended == ()
    made.fold(PodSeen(replace(running[2], ended=True)))
    assert made.plan(1.0).ended == (KEY.id,)
    made.released(KEY.id)
    assert made.plan(1.0).ended == ()


def test_a_reservation_whose_pods_were_not_seen_yet_is_kept_for_a_while() -> None:
    made = gangs(held={KEY.id: assignment()})
    assert made.plan(ORPHAN_SECONDS - 1).ended == ()
    made.fold(PodSeen(WHOLE[0]))
    assert made.plan(ORPHAN_SECONDS + 1).ended == ()
    made.fold(PodGone("team", WHOLE[0].name))
    assert made.plan(ORPHAN_SECONDS + 1).ended == (KEY.id,)
    alone = gangs(held={KEY.id: assignment()})
    assert alone.seconds_until_next(0.0) == ORPHAN_SECONDS
    assert alone.plan(ORPHAN_SECONDS).ended == (KEY.id,)


def test_a_place_found_for_pods_that_went_meanwhile_is_given_back() -> None:
    made = gangs(*WHOLE)
    assert made.plan(0.0).attempts
    for one in WHOLE:
        made.fold(PodGone(*one.key))
    made.placed(KEY, assignment(), 1.0)
    assert made.plan(1.0).ended == (KEY.id,)


@pytest.mark.parametrize("word", ["open", "fail"])
def test_a_time_out_ends_the_waiting_as_the_gang_says(word: str) -> None:
    pods = [replace(one, wishes=f"{{timeoutSeconds: 60, onTimeout: {word}}}", created=100.0) for one in WHOLE]
    made = gangs(*pods)
    assert made.plan(100.0).attempts
    made.placed(KEY, NoFit(generation=1, reason="full", nodes=0, counts={}), 159.0)
    assert [type(step) for step in made.plan(159.0).steps] == [Say]
    assert made.seconds_until_next(159.0) == 1.0
    steps = made.plan(160.0).steps
    assert steps == tuple(
        Lift(one) if word == "open" else Fail(one, "no place was found in time: full") for one in pods
    )
    assert made.plan(161.0) == ((), (), ())
    assert made.seconds_until_next(161.0) == inf


def test_many_gangs_that_fit_nowhere_hold_up_nobody() -> None:
    count = 5 * MOST_ATTEMPTS
    made = gangs(*(pod(0, 1, name=f"p{at}", uid=f"u{at}", gang=f"g{at}", created=float(at)) for at in range(count)))
    tried: set[Key] = set()
    for step in range(20):
        now = 1000.0 + 10.0 * step
        made.stir(now)  # a pod ended somewhere, as in a busy cluster always
        attempts = made.plan(now).attempts
        assert len(attempts) == MOST_ATTEMPTS
        assert attempts[0].key.gang == "g0"
        for attempt in attempts:
            tried.add(attempt.key)
            made.placed(attempt.key, NoFit(generation=1, reason="full", nodes=0, counts={}), now)
    assert len(tried) == count


def test_gangs_of_higher_priority_come_first_then_older_ones() -> None:
    made = gangs(
        pod(0, 1, name="a", gang="late", created=9.0),
        pod(0, 1, name="b", gang="early", created=1.0),
        pod(0, 1, name="c", gang="high", created=20.0, priority=5),
    )
    assert [attempt.key.gang for attempt in made.plan(30.0).attempts] == ["high", "early", "late"]


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        ([pod(0), pod(1), pod(2), pod(3)], "4 of its 3 pods are there"),
        ([pod(0), pod(1), pod(2, gates=())], "1 of its pods run or end already"),
        ([replace(pod(number), size="many") for number in range(3)], "gang-size: expected the number of pods"),
        ([pod(0), pod(1), pod(2, wishes="required: rack")], "expected the same on each pod of g, got 2"),
        ([pod(0), pod(1, gpus=1), pod(2, gpus=3)], "expected pods that ask for equally many nvidia.com/gpu"),
        ([pod(number, gpus=0) for number in range(3)], "expected pods that ask for equally many nvidia.com/gpu"),
        ([pod(number, wishes="pods: 4") for number in range(3)], "pods: expected none"),
        ([pod(number, wishes="required: near") for number in range(3)], "$.spec.required"),
        ([pod(number, wishes="x" * 20_000) for number in range(3)], "at most 16384 characters"),
        ([pod(number, wishes="onTimeout: never") for number in range(3)], "$.onTimeout"),
        ([pod(number, wishes="[") for number in range(3)], "expected fields of a PlacementRequest's spec"),
    ],
)
def test_what_is_no_gang_waits_and_its_first_pod_says_why(pods: list[GpuPod], says: str) -> None:
    made = gangs(*pods)
    plan = made.plan(0.0)
    assert plan.attempts == ()
    (step,) = plan.steps
    assert isinstance(step, Say)
    assert step.pod == pods[0]
    assert says in step.reason
    assert "\n" not in step.reason
    assert made.seconds_until_next(0.0) > LONGEST_SECONDS


def test_the_first_pod_may_lead_with_other_gpus() -> None:
    found = asked(KEY, [pod(0, gpus=1), pod(1), pod(2)])
    assert (found.parsed.request.pods, found.parsed.request.gpus, found.parsed.request.leader_gpus) == (2, 2, 1)
    alone = asked(KEY, [pod(0, 1)])
    assert (alone.parsed.request.pods, alone.parsed.request.leader_gpus) == (1, None)
    assert asked(KEY, WHOLE).content == asked(KEY, WHOLE[::-1]).content


@pytest.mark.parametrize("key", ["1", "null", "2001-01-01", "1.5", "true"])
def test_a_key_that_json_has_not_is_a_reason_and_ends_nothing(key: str) -> None:
    one = pod(0, 1, wishes=f"nodeSelector: {{{key}: x}}")
    with pytest.raises(ParseError, match=r"the annotation nvtopo.io/placement: expected names as keys: .*str keys"):
        asked(KEY, [one])
    steps = gangs(one).plan(100.0).steps
    assert [step for step in steps if "expected names as keys" in str(step)] == list(steps) != []


def test_pods_are_in_the_order_of_their_owner() -> None:
    jobs = [pod(n, name=f"x{n}", order=order) for n, order in enumerate([(1, 0), (0, 1), (0, 0)])]
    assert [one.order for one in in_order(jobs)] == [(0, 0), (0, 1), (1, 0)]
    named = [pod(0, name=name, order=()) for name in ("w-10", "w-2", "v-3")]
    assert [one.name for one in in_order(named)] == ["v-3", "w-2", "w-10"]
    assert key_of(replace(WHOLE[0], group="4")).id == "gang:team/g/4"
    assert size_of(WHOLE) == 3
    with pytest.raises(ParseError):
        size_of([pod(0, size=0)])


class Cluster:
    """A world in which each step that is planned may be carried out, or lost with the leader."""

    def __init__(self) -> None:
        self.pods: dict[str, GpuPod] = {}
        self.held: dict[str, Assignment] = {}
        self.gangs = Gangs()
        self.now = 0.0
        self.leads()

    def leads(self) -> None:
        self.gangs = Gangs()
        self.gangs.fold(PodsListed(tuple(self.pods.values())))
        self.gangs.begin(self.held, self.now)

    def put(self, one: GpuPod) -> None:
        self.pods[one.name] = one
        self.gangs.fold(PodSeen(one))

    def drop(self, name: str) -> None:
        if self.pods.pop(name, None) is not None:
            self.gangs.fold(PodGone("team", name))

    def works(self, steps: int) -> None:
        """The leader carries out so many writes, and is killed then."""
        plan = self.gangs.plan(self.now)
        for key in plan.ended:
            if not steps:
                return
            steps -= 1
            del self.held[key]
            self.gangs.released(key)
        for attempt in plan.attempts:
            if not steps:
                return
            steps -= 1
            answer = self.held.setdefault(attempt.key.id, assignment(first=10 * len(self.held)))
            self.gangs.placed(attempt.key, answer, self.now)
        for step in (*plan.steps, *self.gangs.plan(self.now).steps):
            if not steps:
                return
            steps -= 1
            if isinstance(step, Lift) and step.rank is not None:
                assert self.pods[step.pod.name].gated
                self.put(replace(step.pod, gates=(), rank=step.rank.rank, reservation=step.reservation, node="n"))


@given(st.lists(st.tuples(st.sampled_from(["pod", "drop", "end", "work", "kill"]), st.integers(0, 5)), max_size=60))
def test_no_rank_is_ever_held_twice_and_a_quiet_cluster_ends_whole(story: Iterable[tuple[str, int]]) -> None:
    cluster = Cluster()
    for what, number in story:
        cluster.now += 1
        name = f"g-{number % 3}"
        if what == "pod" and name not in cluster.pods:
            cluster.put(pod(number % 3, uid=f"u{cluster.now}"))
        elif what == "drop":
            cluster.drop(name)
        elif what == "end" and name in cluster.pods and not cluster.pods[name].gated:
            cluster.put(replace(cluster.pods[name], ended=True))
        elif what == "work":
            cluster.works(number)
        elif what == "kill":
            cluster.works(number)
            cluster.leads()
        ranks = [one.rank for one in cluster.pods.values() if one.rank is not None and not one.ended]
        assert len(ranks) == len({*ranks})
    for _quiet in range(5):
        cluster.now += ORPHAN_SECONDS
        cluster.works(99)
    alive = [one for one in cluster.pods.values() if not one.ended]
    if not alive:
        assert not cluster.held
    elif len(alive) == 3 and (cluster.held or all(one.gated for one in alive)):
        assert {one.rank for one in alive} == {0, 1, 2}


def test_gpus_in_use_are_counted_by_reservation() -> None:
    in_use = InUse()
    bound = pod(0, node="n1", gates=())
    assert in_use.fold(PodsListed((bound, pod(1), pod(2, node="n1", gates=(), reservation="r"))))
    assert in_use.counted() == {"n1": {"": 2, "r": 2}}
    assert in_use.counted() is in_use.counted()
    assert not in_use.fold(PodSeen(replace(pod(1), node="n2")))
    assert in_use.fold(PodSeen(replace(bound, ended=True)))
    assert in_use.fold(PodGone("team", "g-2"))
    assert not in_use.fold(PodGone("team", "g-2"))
    assert in_use.counted() == {"n2": {"": 2}}
    assert msgspec.to_builtins(in_use.counted()) == {"n2": {"": 2}}


def test_what_a_gang_measured_stands_beside_what_was_predicted() -> None:
    answer = replace(assignment(), bus_bytes_per_second=9 * 10**11)
    made = gangs(*(lifted(one, answer, at) for at, one in enumerate(WHOLE)), held={KEY.id: answer})
    assert not made.results
    told = replace(lifted(WHOLE[1], answer, 1), measured=(7e11, None))
    made.plan(0.0)
    made.fold(PodSeen(told))
    assert [*made.results] == [Result("team", "g", "nvlinkDomain", 9 * 10**11, 7e11, 0.0, None)]
    assert made.plan(1.0).steps == ()
