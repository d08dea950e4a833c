"""Gangs over nodes that are lost and come back, pods that go and come, and leaders that end between two writes."""

from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.gangs.moves import GangMoves
from nvtopo.gangs.node_states import NodeState
from nvtopo.gangs.policy import Gangs
from nvtopo.gangs.steps import Attempt, Lift, Say
from nvtopo.placement.fleet import Host, fleet
from nvtopo.placement.ledger import Gpu, Ledger, Reservation
from nvtopo.placement.place import place
from nvtopo.placement.pods import GpuPod, PodGone, PodSeen, PodsListed
from nvtopo.placement.replacement import Site, of_whole, replaced
from nvtopo.placement.result import Assignment, NoFit, PlacementResult
from tests.gangs.test_moves import WELL, Facts
from tests.gangs.test_policy import pod

NODES = [f"n{number}" for number in range(5)]
PAIR = ((0, 1),)
SIZE = 2


class Cluster:
    """Five nodes of two GPUs, and two gangs of two pods that take a node each. Each write may be the leader's last."""

    def __init__(self) -> None:
        self.facts = Facts(**dict.fromkeys(NODES, WELL))
        self.ledger = Ledger()
        self.pods: dict[str, GpuPod] = {}
        self.now = 1000.0
        self.made = 0
        self.moved = 0
        self.gangs = Gangs()
        self.leads()

    def leads(self) -> None:
        self.gangs = Gangs(moves=GangMoves(self.facts))
        self.gangs.fold(PodsListed(tuple(self.pods.values())))
        self.gangs.begin({key: one.answer for key, one in self.ledger.reservations.items()}, self.now)

    def put(self, one: GpuPod) -> None:
        self.pods[one.name] = one
        self.gangs.fold(PodSeen(one))

    def comes(self, gang: int, number: int) -> None:
        """The job makes a pod for one that is gone or is to end."""
        alive = [one for one in self.pods.values() if one.gang == f"g{gang}" and one.order == (number,)]
        if all(one.leaving for one in alive):
            self.made += 1
            name = f"g{gang}-{number}-{self.made}"
            self.put(pod(number, SIZE, name=name, uid=name, gang=f"g{gang}", created=self.now))

    def ends(self, gang: int, number: int) -> None:
        """It is to end: it does, unless nothing ends on its node."""
        for one in [one for one in self.pods.values() if one.gang == f"g{gang}" and one.order == (number,)]:
            if one.node and not self.state(one.node).ready:
                self.put(replace(one, leaving=True))
            else:
                self.drop(one)

    def drop(self, one: GpuPod) -> None:
        del self.pods[one.name]
        self.gangs.fold(PodGone(*one.key))

    def state(self, node: str) -> NodeState:
        assert self.facts.nodes is not None
        return self.facts.nodes[node]

    def turns(self, node: str, state: NodeState) -> None:
        assert self.facts.nodes is not None
        self.facts.nodes[node] = state
        if state.ready:
            for one in [one for one in self.pods.values() if one.leaving and one.node == node]:
                self.drop(one)
        self.gangs.look_again()
        self.gangs.stir(self.now)

    def runs_on(self) -> set[Gpu]:
        return {(one.node, gpu) for one in self.pods.values() if one.node for gpu in (0, 1)}

    def works(self, steps: int) -> None:
        plan = self.gangs.plan(self.now)
        for key in plan.ended:
            if not steps:
                return
            steps -= 1
            self.ledger.release(key)
            self.gangs.released(key)
        for attempt in plan.attempts:
            if not steps:
                return
            steps -= 1
            self.gangs.placed(attempt.key, self._reserved(attempt), self.now)
        for step in (*plan.steps, *self.gangs.plan(self.now).steps):
            if not steps:
                return
            steps -= 1
            there = self.pods.get(step.pod.name) if isinstance(step, (Lift, Say)) else None
            if isinstance(step, Say) and there is not None:
                self.put(replace(there, status=step.reason))
            elif isinstance(step, Lift) and step.rank is not None and there is not None and there.gated:
                held = self.ledger.reservations[step.reservation].answer.ranks
                assert step.rank in held, "a gate is lifted for a place that is reserved"
                lifted = replace(there, gates=(), rank=step.rank.rank, reservation=step.reservation)
                self.put(replace(lifted, node=step.rank.node, status=""))

    def _reserved(self, attempt: Attempt) -> PlacementResult:
        taken = {*self.ledger.gpus} | self.runs_on()
        given_up = {(rank.node, gpu) for rank in attempt.move for gpu in rank.gpus} - self.runs_on()
        hosts = [
            Host(name, {}, PAIR, PAIR, attempt.closed.get(name)).without(
                {gpu for node, gpu in taken - given_up if node == name}
            )
            for name in NODES
        ]
        request = attempt.asked.parsed.request
        if not attempt.move:
            answer = place(fleet(hosts, ()), request)
            if isinstance(answer, Assignment):
                self.ledger.reserve(Reservation(id=attempt.key.id, fingerprint="f", answer=answer), self.runs_on())
            return answer
        before = self.ledger.reservations[attempt.key.id].answer
        assert {*attempt.move} <= {*before.ranks}
        answer = replaced(Site(hosts, {}), of_whole(request, before), before, attempt.move)
        if isinstance(answer, NoFit):
            return answer
        self.ledger.move(attempt.key.id, answer, self.runs_on())
        self.moved += 1
        assert [rank for rank in before.ranks if rank not in attempt.move] == [
            rank for rank in answer.ranks if rank.rank not in {one.rank for one in attempt.move}
        ]
        return answer

    def check(self) -> None:
        """No two pods are on one node; each rank of a gang is one pod's that is not to end."""
        assert all(count == 1 for count in Counter(one.node for one in self.pods.values() if one.node).values())
        ranks = Counter((one.gang, one.rank) for one in self.pods.values() if one.node and not one.leaving)
        assert all(count == 1 for count in ranks.values())

    def happens(self, what: str, which: int, steps: int) -> None:
        """One event."""
        match what:
            case "comes":
                self.comes(which % 2, which // 2 % SIZE)
            case "ends":
                self.ends(which % 2, which // 2 % SIZE)
            case "fails":  # the pod's node is lost for long, and the job makes another pod
                for one in [one for one in self.pods.values() if one.gang == f"g{which % 2}" and one.node]:
                    if one.order == (which // 2 % SIZE,):
                        self.turns(one.node, NodeState(ready=False, since=self.now - 600.0))
                self.happens("ends", which, 0)
                self.happens("comes", which, 0)
            case "work":
                self.works(steps)
            case "kill":
                self.works(steps)
                self.leads()
            case "lost":
                self.turns(NODES[which], NodeState(ready=False, since=self.now))
            case "cordoned":
                self.turns(NODES[which], NodeState(ready=True, cordoned=True))
            case _:
                self.turns(NODES[which], WELL)

    def heals(self) -> None:
        """All nodes are well again, and jobs make the pods that their gangs lack."""
        for node in NODES:
            self.turns(node, WELL)
        for _round in range(10):
            for gang in range(2):
                for number in range(SIZE):
                    self.comes(gang, number)
            self.now += 70.0
            self.works(1000)
            self.check()


WHAT = st.sampled_from(["fails", "fails", "ends", "comes", "lost", "well", "well", "cordoned", "work", "work", "kill"])


@given(st.lists(st.tuples(WHAT, st.integers(0, 4), st.integers(0, 5)), min_size=5, max_size=60))
@settings(deadline=None)
def test_no_gpu_is_ever_had_twice_and_when_nodes_are_well_again_all_pods_run(
    story: Iterable[tuple[str, int, int]],
) -> None:
    cluster = Cluster()
    for number in range(2 * SIZE):
        cluster.comes(number % 2, number // 2)
    cluster.works(1000)
    for what, which, steps in story:
        cluster.now += 25.0
        cluster.happens(what, which, steps)
        cluster.check()
    cluster.heals()
    assert not [one.name for one in cluster.pods.values() if one.gated]
    held = cluster.ledger.reservations
    for one in cluster.pods.values():
        assert one.node in {rank.node for rank in held[one.reservation].answer.ranks if rank.rank == one.rank}


def test_a_part_is_moved_in_such_a_story() -> None:
    cluster = Cluster()
    for number in range(2 * SIZE):
        cluster.comes(number % 2, number // 2)
    cluster.works(1000)
    cluster.happens("fails", 0, 0)
    cluster.works(1000)
    assert cluster.moved == 1
    cluster.check()
