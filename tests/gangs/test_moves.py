"""Which pods of a placed gang can't have their places, and what is done for them: grace, a move, or a reason."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.gangs.lost import GRACE_SECONDS, Lost, of_gpus, of_node
from nvtopo.gangs.moves import MOST_MOVES, GangMoves
from nvtopo.gangs.node_states import NodeState, Taint, closed
from nvtopo.gangs.policy import Gangs
from nvtopo.gangs.steps import Lift, Say
from nvtopo.placement.pods import GpuPod, PodGone, PodSeen, PodsListed, Toleration
from nvtopo.placement.result import Assignment, NoFit, Rank
from tests.cluster import machines
from tests.gangs.test_policy import KEY, WHOLE, assignment, lifted, pod

WELL = NodeState(ready=True)
FULL = NoFit(generation=1, reason="no node has room", nodes=1, counts={"full": 1})


class Facts:
    """Nodes as a test says."""

    def __init__(self, **nodes: NodeState) -> None:
        self.settled = True
        self.nodes: dict[str, NodeState] | None = {f"n{number}": WELL for number in range(9)} | nodes

    def lost(self, one: GpuPod, rank: Rank, *, degraded: bool) -> Lost | None:
        del degraded
        return self.node_lost(one, rank.node)

    def node_lost(self, one: GpuPod, node: str) -> Lost | None:
        return None if self.nodes is None else of_node(one, node, self.nodes)

    def closed(self, tolerations: tuple[Toleration, ...]) -> dict[str, str]:
        return closed(self.nodes or {}, tolerations)


def running(facts: Facts, *pods: GpuPod, answer: Assignment | None = None) -> tuple[Gangs, Assignment]:
    """A gang of three that runs, but for what ``pods`` say."""
    there = answer or assignment()
    made = Gangs(moves=GangMoves(facts))
    mine = {at: lifted(one, there, at) for at, one in enumerate(WHOLE)} | {one.order[0]: one for one in pods}
    made.fold(PodsListed(tuple(mine.values())))
    made.begin({KEY.id: there}, 0.0)
    return made, there


NEW = pod(1, name="g-1-b", uid="v1", created=500.0)


def moved(answer: Assignment, number: int, node: str) -> Assignment:
    ranks = (replace(rank, node=node) if rank.rank == number else rank for rank in answer.ranks)
    return replace(answer, ranks=tuple(ranks))


def test_a_place_that_can_be_used_is_kept() -> None:
    made, answer = running(Facts(), NEW)
    plan = made.plan(1000.0)
    assert (plan.attempts, plan.steps) == ((), (Lift(NEW, KEY.id, answer.ranks[1]),))


def test_what_a_cordoned_node_held_is_moved_and_nothing_else() -> None:
    made, answer = running(Facts(n1=NodeState(ready=True, cordoned=True)), NEW)
    plan = made.plan(1000.0)
    (attempt,) = plan.attempts
    assert (attempt.key, attempt.move, dict(attempt.closed)) == (KEY, (answer.ranks[1],), {"n1": "cordoned"})
    assert plan.steps == ()
    there = moved(answer, 1, "n7")
    made.placed(KEY, there, 1000.0)
    assert made.plan(1000.0).steps == (Lift(NEW, KEY.id, there.ranks[1]),)
    assert made.moved == 1
    assert made.plan(1001.0) == ((), (), ())


def test_a_node_that_is_only_briefly_not_ready_keeps_its_pod() -> None:
    facts = Facts(n1=NodeState(ready=False, since=1000.0))
    made, answer = running(facts, NEW)
    said = f"node n1 is not Ready; its place is kept for {GRACE_SECONDS:g} s"
    plan = made.plan(1000.0)
    assert (plan.attempts, plan.steps) == ((), (Say(NEW, said),))
    assert made.seconds_until_next(1000.0) == GRACE_SECONDS
    assert made.plan(1000.0 + GRACE_SECONDS).attempts[0].move == (answer.ranks[1],)
    facts.nodes = {**(facts.nodes or {}), "n1": WELL}
    made.look_again()
    assert made.plan(1030.0).steps == (Lift(NEW, KEY.id, answer.ranks[1]),)


def test_what_fits_nowhere_says_why_and_is_tried_less_often_and_nothing_is_given_back() -> None:
    made, _answer = running(Facts(n1=NodeState(ready=True, cordoned=True)), NEW)
    moments, now = list[float](), 1000.0
    while now < 1300.0:
        plan = made.plan(now)
        assert plan.ended == ()
        if plan.attempts:
            moments.append(now)
            made.placed(KEY, FULL, now)
            assert made.plan(now).steps == (Say(NEW, "cordoned: node n1; no node has room"),)
        now += 1.0
    assert [moment - 1000.0 for moment in moments[:5]] == [0, 1, 3, 7, 15]
    assert len(moments) < 12
    made.stir(now)  # GPUs became free
    assert made.plan(now).attempts


def test_a_gang_that_waits_as_a_whole_is_placed_anew_if_a_part_fits_nowhere() -> None:
    answer = assignment()
    made = Gangs(moves=GangMoves(Facts(n1=NodeState(ready=True, cordoned=True))))
    made.fold(PodsListed(WHOLE))
    made.begin({KEY.id: answer}, 0.0)
    plan = made.plan(10.0)
    assert (plan.attempts[0].move, plan.steps) == ((answer.ranks[1],), ())  # whole or not at all
    made.placed(KEY, FULL, 10.0)
    assert made.plan(10.0).ended == (KEY.id,)
    made.released(KEY.id)
    (attempt,) = made.plan(11.0).attempts
    assert (attempt.move, dict(attempt.closed)) == ((), {"n1": "cordoned"})


def test_nothing_is_lifted_before_it_is_known_what_the_nodes_are() -> None:
    facts = Facts()
    facts.settled = False
    made, answer = running(facts, NEW)
    assert made.plan(1000.0) == ((), (), ())
    assert made.seconds_until_next(1000.0) == 1.0
    facts.settled, facts.nodes = True, None  # there is no right to read them
    assert made.plan(1001.0).steps == (Lift(NEW, KEY.id, answer.ranks[1]),)


def test_a_pod_that_can_t_end_on_a_lost_node_does_not_hold_its_rank() -> None:
    facts = Facts(n1=NodeState(ready=False, since=1000.0))
    answer = assignment()
    old = replace(lifted(WHOLE[1], answer, 1), leaving=True)
    made, _answer = running(facts, old)
    made.fold(PodSeen(NEW))
    assert made.plan(1000.0) == ((), (), ())
    assert made.seconds_until_next(1000.0) == GRACE_SECONDS
    now = 1000.0 + GRACE_SECONDS
    assert made.plan(now).attempts[0].move == (answer.ranks[1],)
    there = moved(answer, 1, "n7")
    made.placed(KEY, there, now)
    assert made.plan(now).steps == (Lift(NEW, KEY.id, there.ranks[1]),)
    made.fold(PodSeen(lifted(NEW, there, 1)))
    newer = replace(NEW, name="g-1-c", uid="v2")
    made.fold(PodSeen(newer))
    made.fold(PodGone("team", NEW.name))
    facts.nodes = {**(facts.nodes or {}), "n1": WELL}  # the old pod may end now, and its rank is elsewhere
    made.look_again()
    assert made.plan(now).steps == (Lift(newer, KEY.id, there.ranks[1]),)


def test_a_pod_that_ends_on_a_node_that_is_drained_is_waited_for() -> None:
    answer = assignment()
    old = replace(lifted(WHOLE[1], answer, 1), leaving=True)
    made, _answer = running(Facts(n1=NodeState(ready=True, cordoned=True)), old)
    made.fold(PodSeen(NEW))
    assert made.plan(1000.0) == ((), (), ())
    made.fold(PodGone("team", old.name))
    assert made.plan(1001.0).attempts[0].move == (answer.ranks[1],)


def test_the_next_leader_goes_on_from_the_ledger() -> None:
    facts = Facts(n1=NodeState(ready=True, cordoned=True))
    made, answer = running(facts, NEW)
    there = moved(answer, 1, "n7")
    made.begin({KEY.id: there}, 5.0)  # another replica led in between
    assert made.plan(5.0).steps == (Lift(NEW, KEY.id, there.ranks[1]),)


def test_many_moves_take_turns() -> None:
    facts = Facts(n0=NodeState(ready=True, cordoned=True))
    made = Gangs(moves=GangMoves(facts))
    names = [f"g{number}" for number in range(3 * MOST_MOVES)]
    one = assignment(2)
    news = [pod(0, 2, name=f"{name}-b", uid=name, gang=name) for name in names]
    stays = [
        replace(lifted(pod(1, 2, name=f"{name}-1", uid=f"{name}1", gang=name), one, 1), reservation=f"gang:team/{name}")
        for name in names
    ]
    made.fold(PodsListed((*news, *stays)))
    made.begin({f"gang:team/{name}": one for name in names}, 0.0)
    tried = set[str]()
    for _step in range(3):
        attempts = made.plan(10.0).attempts
        assert len(attempts) == MOST_MOVES
        for attempt in attempts:
            tried.add(attempt.key.gang)
            made.placed(attempt.key, FULL, 10.0)
    assert len(tried) == len(names)


def test_wishes_that_disagree_by_now_are_said() -> None:
    new = replace(NEW, wishes="required: rack")
    made, _answer = running(Facts(n1=NodeState(ready=True, cordoned=True)), new)
    (step,) = made.plan(1000.0).steps
    assert isinstance(step, Say)
    assert "cordoned: node n1; nvtopo.io/placement: expected the same on each pod of g" in step.reason


TAINT = Taint("gpu", "x", "NoSchedule")


@given(st.sampled_from(["", "gpu", "other"]), st.sampled_from(["", "Exists", "Equal"]), st.sampled_from(["", "x", "y"]))
def test_a_taint_that_the_pod_tolerates_is_in_nobody_s_way(key: str, operator: str, value: str) -> None:
    one = Toleration(key=key, operator=operator, value=value)
    tolerated = (operator == "Exists" and key in ("", "gpu")) or (
        operator != "Exists" and key == "gpu" and value == "x"
    )
    found = of_node(replace(NEW, tolerations=(one,)), "n", {"n": NodeState(ready=True, taints=(TAINT,))})
    assert (found is None) == tolerated
    if found is not None:
        assert found == Lost("it has the taint gpu=x:NoSchedule: node n", NEW.created + GRACE_SECONDS)


def test_what_is_known_of_nodes_costs_a_place_and_what_is_not_known_does_not() -> None:
    def on(state: NodeState | None, **more: object) -> Lost | None:
        return of_node(replace(NEW, **more), "n", {} if state is None else {"n": state})

    assert on(None) == Lost("node n is gone", dead=True)
    assert on(NodeState()) is None
    assert on(NodeState(ready=False)) == Lost("node n is not Ready", NEW.created + GRACE_SECONDS, dead=True)
    everything = (Toleration(operator="Exists"),)
    assert on(NodeState(ready=True, cordoned=True), tolerations=everything) is None
    assert on(NodeState(ready=False, since=7.0), tolerations=everything) == Lost(
        "node n is not Ready", 7.0 + GRACE_SECONDS, dead=True
    )
    lasting = Taint("node.kubernetes.io/out-of-service", "", "NoExecute")
    passing = Taint("node.kubernetes.io/disk-pressure", "", "NoSchedule")
    stale = Taint("node.kubernetes.io/not-ready", "", "NoExecute")  # its condition says more
    assert on(NodeState(ready=True, taints=(stale,))) is None
    found = on(NodeState(ready=True, taints=(passing,)))
    assert found is not None
    assert found.keep_until == NEW.created + GRACE_SECONDS
    found = on(NodeState(ready=True, taints=(passing, lasting)))
    assert found == Lost("it has the taint node.kubernetes.io/out-of-service:NoExecute: node n")


def test_a_gpu_that_is_lost_or_not_well_costs_its_place_after_a_while() -> None:
    nodes = machines.racks(1, 3)
    names = [*nodes]
    nodes[names[1]] = machines.changed(
        nodes[names[1]], 2, nvlinks=(machines.bundle("0-15"), machines.bundle("16-17", "inactive"))
    )
    graph = machines.graph(nodes)

    def said(number: int, *gpus: int, degraded: bool = False) -> Lost | None:
        return of_gpus(NEW, Rank(rank=0, node=names[number], gpus=gpus), graph, degraded=degraded)

    assert said(0, 0, 1, 2, 3) is None
    assert said(1, 2) == Lost(f"node {names[1]}: GPU 2 is not well", NEW.created + GRACE_SECONDS)
    assert said(1, 0) == Lost(f"node {names[1]}: it is not well", NEW.created + GRACE_SECONDS)
    assert said(1, 2, degraded=True) is None
    assert said(2, 7) == Lost(f"node {names[2]}: GPU 7 is gone", NEW.created + GRACE_SECONDS)
    assert of_gpus(NEW, Rank(rank=0, node="elsewhere", gpus=(0,)), graph, degraded=False) is None
    assert of_gpus(NEW, Rank(rank=0, node=names[1], gpus=(2,)), None, degraded=False) is None


def test_health_is_looked_at_as_the_gang_wishes() -> None:
    class Ill(Facts):
        def lost(self, one: GpuPod, rank: Rank, *, degraded: bool) -> Lost | None:
            del one
            return None if degraded or rank.node != "n1" else Lost("ill")

    made, _answer = running(Ill(), NEW)
    assert made.plan(1000.0).attempts
    wishes = [replace(one, wishes="allowDegraded: true") for one in (*WHOLE, NEW)]
    answer = assignment()
    there = Gangs(moves=GangMoves(Ill()))
    there.fold(PodsListed((lifted(wishes[0], answer, 0), wishes[3], lifted(wishes[2], answer, 2))))
    there.begin({KEY.id: answer}, 0.0)
    assert there.plan(1000.0).steps == (Lift(wishes[3], KEY.id, answer.ranks[1]),)
