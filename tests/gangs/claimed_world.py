"""A cluster in a dictionary: pods, claims and a ledger, with a scheduler that gives out GPUs as kube-scheduler does.

It holds a pod whose claim has a share of the gangs' device until the claim is opened, and takes devices back if it is
failed, or if no pod that is bound has the claim. Nothing here runs by itself: a test makes each move.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from nvtopo.gangs.claims import GangClaims
from nvtopo.gangs.gang import Key
from nvtopo.gangs.holders import HolderPods
from nvtopo.gangs.policy import Gangs
from nvtopo.gangs.steps import (
    DropClaim,
    DropHolder,
    Fail,
    FreeClaim,
    Lift,
    MakeClaim,
    MakeHolder,
    OpenClaim,
    Refusal,
    Say,
    Step,
)
from nvtopo.placement.device_claims import DeviceClaim, GangDevice
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

    def __init__(self, nodes: int, *, barrier: bool = True, holding: bool = False) -> None:
        self.free_gpus = [(f"n{node}", gpu) for node in range(nodes) for gpu in range(2)]
        self.barrier, self.holding = barrier, holding
        self.holder_pods: dict[str, GpuPod] = {}
        self.takes_holders = True
        """Whether the API server does."""
        self.reserved: dict[str, set[str]] = {}
        """Claim → UIDs of the pods that have it."""
        self.deaf: set[str] = set()
        """Nodes whose kubelets end no pod."""
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
                    self.delete_claim(claim.name)
            case MakeHolder() | DropHolder():
                self._write_holder(step)
            case Lift():
                self._lift(step)
            case Say(of, reason):
                self.pods[of.name] = replace(self.pods[of.name], status=reason)
            case Fail(of, _reason):
                self.pods[of.name] = replace(self.pods[of.name], ended=True)

    def _lift(self, step: Lift) -> None:
        there = self.pods.get(step.pod.name)
        if there is not None and there.uid == step.pod.uid:
            number = None if step.rank is None else step.rank.rank
            lifted = replace(there, gates=(), reservation=step.reservation, rank=number, lifted_for=step.claim)
            self.pods[there.name] = lifted

    def _make(self, step: MakeClaim) -> None:
        of, name, rank = step.pod, step.name, step.rank
        if name not in self.claims and sum(bool(one.pod) for one in self.claims.values()) >= self.quota:
            self.refused.append(Refusal("team", of.uid, name, "exceeded quota"))
            return
        if name not in self.claims and any(one.uid == of.uid for one in self.pods.values()):
            self.named[name] = frozenset((rank.node, gpu) for gpu in rank.gpus) if rank else frozenset()
            made = DeviceClaim("team", name, f"uid-{name}", "", created=self.now, pod=of.uid)
            self.put(made._replace(reservation=step.reservation, barrier=step.barrier))

    def _write_holder(self, step: MakeHolder | DropHolder) -> None:
        if isinstance(step, DropHolder):
            there = self.holder_pods.get(step.holder.name)
            if there is not None and there.uid == step.holder.uid:
                self.delete_holder(there.name, at_once=step.at_once)
        elif not self.takes_holders:
            self.refused.append(Refusal("team", step.pod.uid, step.name, "exceeded quota: pods"))
        elif step.name not in self.holder_pods and any(one.uid == step.pod.uid for one in self.pods.values()):
            self._version += 1
            uid = f"{step.name}-{self._version}"
            made = GpuPod(namespace="team", name=step.name, uid=uid, gpus=0, holds=step.claim, owner=step.pod.uid)
            self.holder_pods[step.name] = made

    def delete_holder(self, name: str, *, at_once: bool = False) -> None:
        """One that is bound ends by its kubelet."""
        holder = self.holder_pods[name]
        if at_once or not holder.node:
            del self.holder_pods[name]
        elif not holder.leaving:
            self.holder_pods[name] = replace(holder, leaving=True, leaving_at=self.now + 1.0)

    def delete_claim(self, name: str) -> None:
        """It is there as long as a pod has it."""
        if self.reserved.get(name):
            self.put(self.claims[name]._replace(leaving=True))
        else:
            del self.claims[name]

    def schedule(self) -> None:
        """One look at each pod without a gate."""
        self._schedule_holders()
        for one in [one for one in self.pods.values() if not one.gates and not one.node]:
            claim = next((found for found in self.claims.values() if found.pod == one.uid), None)
            if claim is None or claim.leaving:
                continue
            if claim.failed:
                self.reserved.pop(claim.name, None)
                self.put(claim._replace(allocated=False, gang=None, ready=False, failed=False, gpus=()))
            elif not claim.allocated:
                if not self.named[claim.name] & self.holders().keys():
                    share = GangDevice("nvtopo-gangs", "gang", f"s{self._version}") if claim.barrier else None
                    self.put(claim._replace(allocated=True, gang=share, gpus=(("p", "d"),)))
                    self.reserved.setdefault(claim.name, set()).add(one.uid)
            elif claim.ready or not claim.barrier:
                (node,) = {node for node, _gpu in self.named[claim.name]}
                self.reserved.setdefault(claim.name, set()).add(one.uid)
                self.pods[one.name] = replace(one, node=node)

    def _schedule_holders(self) -> None:
        for one in [one for one in self.holder_pods.values() if not one.node]:
            claim = self.claims.get(one.holds)
            if claim is not None and not claim.leaving:
                if not claim.allocated and not self.named[claim.name] & self.holders().keys():
                    claim = self.put(claim._replace(allocated=True, gpus=(("p", "d"),)))
                if claim.allocated:
                    (node,) = {node for node, _gpu in self.named[claim.name]}
                    self.reserved.setdefault(claim.name, set()).add(one.uid)
                    self.holder_pods[one.name] = replace(one, node=node)

    def collect(self) -> None:
        """What a pod owned goes with it, and what no pod has is taken back; kubelets end what is to end."""
        there = {one.uid for one in self.pods.values()}
        for name, holder in [*self.holder_pods.items()]:
            if holder.owner not in there:
                self.delete_holder(name)
            elif holder.leaving and holder.node not in self.deaf:
                del self.holder_pods[name]
        live = {one.uid for one in (*self.pods.values(), *self.holder_pods.values()) if not one.ended}
        for name, claim in [*self.claims.items()]:
            if name in self.reserved and not self.reserved[name] & live:
                del self.reserved[name]
                self.put(claim._replace(allocated=False, gang=None, ready=False, failed=False, gpus=()))
            if claim.leaving and not self.reserved.get(name):
                del self.claims[name]
        for name in [name for name, claim in self.claims.items() if claim.pod and claim.pod not in there]:
            del self.claims[name]


class Leader:
    """A replica that leads: it sees all that happened at the beginning of each turn, and may end after any write."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        holders = HolderPods(on=cluster.holding)
        self.gangs = Gangs(GangClaims(self._holder, lambda _answer: cluster.barrier, holders))
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
        pods = now.pods | now.holder_pods
        for name in [name for name in self._pods if name not in pods]:
            self.gangs.fold(PodGone("team", name))
        for name, one in pods.items():
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
        self._pods, self._claims = pods, dict(now.claims)

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


def turn(cluster: Cluster, leader: Leader) -> list[Step | str]:
    done = list(leader.writes())
    cluster.schedule()
    cluster.collect()
    cluster.now += 1.0
    return done


def bound(cluster: Cluster) -> list[str]:
    return [one.node for one in cluster.pods.values() if one.node]
