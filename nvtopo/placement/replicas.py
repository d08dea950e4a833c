"""The replicas of a deployment, placed one after the other, and whether there is room for as many as it may grow to.

A replica after the first loads its weights from a healthy one: it comes as near to one of these as is worth it, by the
same sum as all costs (``Kv``). The best source is found by trying each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import gcd
from typing import Final

from nvtopo.errors import UsageError
from nvtopo.model.records.record import Record
from nvtopo.placement.deployment import Deployment
from nvtopo.placement.fleet import NODE, Fleet
from nvtopo.placement.links import Link
from nvtopo.placement.request import Kv, Request, Slice
from nvtopo.placement.result import Assignment, NoFit
from nvtopo.placement.state import State

#: Sources that are tried for one replica, the latest first.
_MOST_SOURCES: Final = 8


class Replica(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One more replica."""

    answer: Assignment
    source: tuple[str, ...]
    """Nodes of the healthy replica that it is placed near to; empty for the first."""


class Placed(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What a deployment gets."""

    name: str
    model: str
    replicas: tuple[Replica, ...]
    wanted: int
    """Replicas that are asked for now, those that run counted."""
    min_replicas: int
    max_replicas: int
    room: int
    """For how many replicas there is room now, those that run counted; not looked for beyond ``max_replicas``."""
    no_fit: NoFit | None
    """Why there is room for no more."""
    left_to_autoscaler: tuple[str, ...]
    not_used: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether all that are asked for now run or have a place."""
        return self.room >= self.wanted


def placed(
    deployment: Deployment, fleet: Fleet, links: Mapping[str, Link], running: Sequence[Assignment] = ()
) -> Placed:
    """The replicas that are missing, and the room beyond. ``running`` hold their GPUs; the healthy ones are sources."""
    work = _Placing(deployment, fleet, links)
    for one in running:
        work.take(one)
    found: list[Replica] = []
    no_fit: NoFit | None = None
    room = len(running)
    while room < deployment.most:
        answer, source = work.next(near=room < deployment.replicas)
        if isinstance(answer, NoFit):
            no_fit = answer
            break
        if room < deployment.replicas:
            found.append(Replica(answer=answer, source=source))
        work.take(answer)
        room += 1
    return Placed(
        name=deployment.name,
        model=deployment.model,
        replicas=tuple(found),
        wanted=deployment.replicas,
        min_replicas=deployment.least,
        max_replicas=deployment.most,
        room=room,
        no_fit=no_fit,
        left_to_autoscaler=deployment.autoscaler,
        not_used=deployment.unused,
    )


class _Placing:
    def __init__(self, deployment: Deployment, fleet: Fleet, links: Mapping[str, Link]) -> None:
        self._deployment, self._fleet = deployment, fleet
        self._state = State(fleet, links)
        self._sources: list[tuple[str, ...]] = []
        self._taken: set[str] = set()
        largest = max((host.group_size for host in fleet.hosts.values() if host.groups), default=1)
        gpus = deployment.gpus_per_pod or max(gcd(deployment.tensor, size) for size in range(1, largest + 1))
        ranks = deployment.tensor * deployment.pipeline
        if ranks % gpus:
            raise UsageError(f"{deployment.name}: expected whole pods, got {ranks} GPUs of a replica in pods of {gpus}")
        self._gpus = gpus
        self._apart(())

    def next(self, *, near: bool) -> tuple[Assignment | NoFit, tuple[str, ...]]:
        """Where the next replica goes, and from where it loads its weights."""
        first: NoFit | None = None
        for request in self._requests():
            sources = list(reversed(self._sources))[:_MOST_SOURCES] if near else []
            asked = [(request._replace(kv=Kv(self._deployment.weight_bytes, (one,))), one) for one in sources]
            answers = [(self._state.place(one), source) for one, source in asked or [(request, ())]]
            fitting = [(answer, source) for answer, source in answers if isinstance(answer, Assignment)]
            if fitting:
                return min(fitting, key=lambda pair: pair[0].cost.total)
            first = first or next(answer for answer, _source in answers if isinstance(answer, NoFit))
        assert first is not None
        return first, ()

    def take(self, answer: Assignment) -> None:
        """Its GPUs are in use, and others may load from it if its nodes are well."""
        known = [rank for rank in answer.ranks if rank.node in self._fleet.hosts]
        self._state.take(known)
        nodes = tuple(dict.fromkeys(rank.node for rank in answer.ranks))
        if all(node in self._fleet.hosts and self._fleet.hosts[node].excluded is None for node in nodes):
            self._sources.append(nodes)
        self._apart(nodes)

    def _requests(self) -> Iterator[Request]:
        """What is asked for, the stricter first: all inside one domain, else each stage."""
        asked = self._deployment
        whole = Request(
            pods=asked.tensor * asked.pipeline // self._gpus,
            gpus=self._gpus,
            required=asked.near,
            tensor=asked.tensor,
            pipeline=asked.pipeline,
            message_bytes=asked.message_bytes,
            stage_bytes=asked.stage_bytes,
        )
        yield whole
        if asked.near is None or asked.pipeline == 1:
            return
        pods = whole.work.stage_pods
        if pods == 1:
            yield whole._replace(required=None)
        else:
            yield whole._replace(required=None, tensor=None, pipeline=1, slice=Slice(pods, asked.near))

    def _apart(self, nodes: Iterable[str]) -> None:
        """No replica goes where one is, in the tier that keeps them apart."""
        tier = self._deployment.apart
        if tier is None:
            return
        hosts = self._fleet.hosts
        self._taken |= {name if tier == NODE else hosts[name].tiers.get(tier, "") for name in nodes if name in hosts}
        for host in hosts.values():
            place = host.name if tier == NODE else host.tiers.get(tier)
            if host.excluded is None and (place is None or place in self._taken):
                reason = f"its {tier} is not known" if place is None else f"its {tier} has a replica already"
                self._state.put(host._replace(free=(), excluded=reason))
