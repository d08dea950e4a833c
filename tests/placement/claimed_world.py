"""A cluster in a dictionary: pods, claims and a ledger, with a scheduler that gives out GPUs as kube-scheduler does.

It holds a pod whose claim has a share of the gangs' device until the claim is opened, and takes devices back if it is
failed. Nothing here runs by itself: a test makes each move.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from nvtopo.placement.device_claims import DeviceClaim, GangDevice
from nvtopo.placement.gang import Key
from nvtopo.placement.gang_claims import GangClaims
from nvtopo.placement.gang_steps import DropClaim, Fail, FreeClaim, Lift, MakeClaim, OpenClaim, Refusal, Say, Step
from nvtopo.placement.gangs import Gangs
from nvtopo.placement.pods import GATE, GpuPod, PodGone, PodSeen, PodsListed
from nvtopo.placement.result import Assignment, Costs, Rank

KEY = Key("team", "g")
Gpu = tuple[str, int]


def pod(number: int, size: int = 3, generation: int = 0, **changes: Any) -> GpuPod:
    """One that asks for two GPUs by a claim."""
    made = GpuPod(
        namespace="team",
        name=f"g-{number}",
        uid=f"u{number}-{generation}",
        gpus=0,
        claimed=2,
        claim="gpus",
        gates=(GATE,),
        gang="g",
        size=str(size),
        order=(number,),
    )
    return replace(made, **changes)


class Cluster:
    """``nodes`` of two GPUs each."""

    def __init__(self, nodes: int, *, barrier: bool = True) -> None:
        self.free_gpus = [(f"n{node}", gpu) for node in range(nodes) for gpu in range(2)]
        self.barrier = barrier
        self.pods: dict[str, GpuPod] = {}
        self.claims: dict[str, DeviceClaim] = {}
        self.named: dict[str, frozenset[Gpu]] = {}
        """Claim → the GPUs that it names."""
        self.ledger: dict[str, Assignment] = {}
        self.quota = 1000
        """How many claims of gangs the API server takes."""
        self.refused: list[Refusal] = []
        self.now = 0.0
        self._version = 0

    def holders(self) -> dict[Gpu, str]:
        """GPU → the claim that was given it."""
        return {gpu: name for name, claim in self.claims.items() if claim.allocated for gpu in self.named[name]}

    def put(self, claim: DeviceClaim) -> DeviceClaim:
        """The claim as it is now."""
        self._version += 1
        self.claims[claim.name] = claim._replace(version=str(self._version))
        return self.claims[claim.name]

    def rival(self, gpu: Gpu) -> None:
        """Somebody else's claim is given a GPU."""
        name = f"rival-{gpu[0]}-{gpu[1]}"
        self.named[name] = frozenset((gpu,))
        self.put(DeviceClaim("other", name, "x", "", gpus=(("p", "d"),), allocated=True))

    def place(self) -> Assignment | None:
        """Pairs of free GPUs for all pods."""
        taken = {*self.holders()} | {
            (one.node, gpu) for held in self.ledger.values() for one in held.ranks for gpu in one.gpus
        }
        nodes = [node for node in {name: None for name, _gpu in self.free_gpus} if not {(node, 0), (node, 1)} & taken]
        size = len(self.pods)
        if len(nodes) < size:
            return None
        ranks = tuple(Rank(rank=at, node=nodes[at], gpus=(0, 1)) for at in range(size))
        cost = Costs(total=0, bound=0, all_reduce=0)
        return Assignment(generation=1, level="node", domain="d", cost=cost, domains={}, ranks=ranks)

    def write(self, step: Step) -> None:
        """What the API server does of a step."""
        match step:
            case MakeClaim():
                self._make(step)
            case OpenClaim(claim) | FreeClaim(claim):
                there = self.claims.get(claim.name)
                if there is not None and there.gang == claim.gang and there.gang is not None:
                    opens = isinstance(step, OpenClaim)
                    self.put(there._replace(ready=there.ready or opens, failed=there.failed or not opens))
            case DropClaim(claim):
                if claim.name in self.claims and self.claims[claim.name].version == claim.version:
                    del self.claims[claim.name]
            case Lift(of, reservation, rank, claim_of):
                there_pod = self.pods.get(of.name)
                if there_pod is not None and there_pod.uid == of.uid:
                    number = None if rank is None else rank.rank
                    changed = replace(there_pod, gates=(), reservation=reservation, rank=number, lifted_for=claim_of)
                    self.pods[of.name] = changed
            case Say(of, reason):
                self.pods[of.name] = replace(self.pods[of.name], status=reason)
            case Fail(of, _reason):
                self.pods[of.name] = replace(self.pods[of.name], ended=True)

    def _make(self, step: MakeClaim) -> None:
        of, name, rank = step.pod, step.name, step.rank
        if name not in self.claims and sum(bool(one.pod) for one in self.claims.values()) >= self.quota:
            self.refused.append(Refusal("team", of.uid, name, "exceeded quota"))
            return
        if name not in self.claims and any(one.uid == of.uid for one in self.pods.values()):
            self.named[name] = frozenset((rank.node, gpu) for gpu in rank.gpus) if rank else frozenset()
            made = DeviceClaim("team", name, f"uid-{name}", "", created=self.now, pod=of.uid)
            self.put(made._replace(reservation=step.reservation, barrier=step.barrier))

    def schedule(self) -> None:
        """One look at each pod without a gate."""
        for one in [one for one in self.pods.values() if not one.gates and not one.node]:
            claim = next((found for found in self.claims.values() if found.pod == one.uid), None)
            if claim is None:
                continue
            if claim.failed:
                self.put(claim._replace(allocated=False, gang=None, ready=False, failed=False, gpus=()))
            elif not claim.allocated:
                if not self.named[claim.name] & self.holders().keys():
                    share = GangDevice("nvtopo-gangs", "gang", f"s{self._version}") if claim.barrier else None
                    self.put(claim._replace(allocated=True, gang=share, gpus=(("p", "d"),)))
            elif claim.ready or not claim.barrier:
                (node,) = {node for node, _gpu in self.named[claim.name]}
                self.pods[one.name] = replace(one, node=node)

    def collect(self) -> None:
        """What a pod owned goes with it."""
        there = {one.uid for one in self.pods.values()}
        for name in [name for name, claim in self.claims.items() if claim.pod and claim.pod not in there]:
            del self.claims[name]


class Leader:
    """A replica that leads: it sees all that happened at the beginning of each turn, and may end after any write."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.gangs = Gangs(GangClaims(self._holder, lambda _answer: cluster.barrier))
        self._pods: dict[str, GpuPod] = {}
        self._claims: dict[str, DeviceClaim] = {}
        self.gangs.fold(PodsListed(()))
        self.gangs.list_claims({})
        self.look()
        self.gangs.begin(dict(cluster.ledger), cluster.now)

    def _holder(self, node: str, gpu: int) -> tuple[str, str] | None:
        name = self.cluster.holders().get((node, gpu))
        return None if name is None else self.cluster.claims[name].key

    def look(self) -> None:
        """All events since the last look."""
        now = self.cluster
        for name in [name for name in self._pods if name not in now.pods]:
            self.gangs.fold(PodGone("team", name))
        for name, one in now.pods.items():
            if self._pods.get(name) != one:
                self.gangs.fold(PodSeen(one))
        for name, claim in self._claims.items():
            if name not in now.claims:
                self.gangs.see_claim(claim.key, None)
        for name, claim in now.claims.items():
            if self._claims.get(name) != claim:
                self.gangs.see_claim(claim.key, claim)
        self.gangs.stir_held()
        self.gangs.stir(now.now)
        self._pods, self._claims = dict(now.pods), dict(now.claims)

    def writes(self) -> Iterator[Step | str]:
        """One turn, write by write: stop in between, and the replica has ended there."""
        self.look()
        plan = self.gangs.plan(self.cluster.now)
        for key in plan.ended:
            self.cluster.ledger.pop(key, None)
            self.gangs.released(key)
            yield f"released {key}"
        for attempt in plan.attempts:
            answer = self.cluster.place()
            if answer is None:
                self.gangs.placed(attempt.key, "no room", self.cluster.now)
            else:
                self.cluster.ledger[attempt.key.id] = answer
                yield f"reserved {attempt.key.id}"
                self.gangs.placed(attempt.key, answer, self.cluster.now)
        for step in (*plan.steps, *self.gangs.plan(self.cluster.now).steps):
            self.cluster.write(step)
            while self.cluster.refused:
                self.gangs.refuse(self.cluster.refused.pop())
            yield step
