"""The answers of a scheduler extender: of kube-scheduler's candidates for one pod, which can serve it, and how well.

Keys are the names of kube-scheduler's Go fields (extender/v1), which have no JSON tags. ``nodeCacheCapable``
extenders get names alone; whole Nodes are answered too. A node that nvtopo does not know passes, with the lowest score:
it is the scheduler that decides about it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from nvtopo.placement import pods
from nvtopo.placement.fleet import Fleet, Host
from nvtopo.wire.documents import Json

GPU: Final = "nvidia.com/gpu"
MOST_BYTES: Final = 32 << 20
MOST_NODES: Final = 50_000
BEST: Final = 10
_HALF: Final = BEST / 2

Held = Mapping[str, Collection[int]]
"""GPUs that reservations hold: node → indices."""


class _Resources(msgspec.Struct):
    limits: dict[str, str | int] = {}
    requests: dict[str, str | int] = {}


class _Container(msgspec.Struct):
    resources: _Resources = msgspec.field(default_factory=_Resources)


class _PodSpec(msgspec.Struct):
    containers: Annotated[list[_Container], Meta(max_length=1000)] = []


class _PodMetadata(msgspec.Struct):
    namespace: str = ""
    annotations: dict[str, str] | None = None


class _Pod(msgspec.Struct):
    metadata: _PodMetadata = msgspec.field(default_factory=_PodMetadata)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _NodeMetadata(msgspec.Struct):
    name: str = ""


class _NodeHead(msgspec.Struct):
    metadata: _NodeMetadata = msgspec.field(default_factory=_NodeMetadata)


class _Nodes(msgspec.Struct):
    items: Annotated[list[msgspec.Raw], Meta(max_length=MOST_NODES)] | None = None


class ExtenderArgs(msgspec.Struct):
    """What kube-scheduler sends."""

    pod: _Pod | None = msgspec.field(default=None, name="Pod")
    nodes: _Nodes | None = msgspec.field(default=None, name="Nodes")
    node_names: Annotated[list[str], Meta(max_length=MOST_NODES)] | None = msgspec.field(default=None, name="NodeNames")


class HostPriority(msgspec.Struct, frozen=True):
    """How good a node is, from 0 to 10."""

    host: str = msgspec.field(name="Host")
    score: int = msgspec.field(name="Score")


class FilterResult(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes stay."""

    nodes: Any = msgspec.field(default=None, name="Nodes")
    node_names: list[str] | None = msgspec.field(default=None, name="NodeNames")
    failed_nodes: dict[str, str] = msgspec.field(name="FailedNodes")
    failed_and_unresolvable_nodes: dict[str, str] = msgspec.field(name="FailedAndUnresolvableNodes")
    error: str = msgspec.field(default="", name="Error")


_ARGS: Final = Json(ExtenderArgs, "ExtenderArgs of kube-scheduler", most_bytes=MOST_BYTES)
_HEAD: Final = Json(_NodeHead, "a Node")


class View(NamedTuple):
    """What is known of the nodes."""

    fleet: Fleet
    inside: Mapping[str, str]
    """Node → its closest domain; absent if it is in none."""
    shares: Mapping[str, float]
    """Domain → the share of its GPUs that is not free."""
    reserved: Callable[[str, str], Host | None]
    """The node as pods of a reservation find it, whose GPUs alone are theirs; None if it is not known."""

    def host(self, name: str, reservation: str) -> Host | None:
        """The node as the pod finds it; ``reservation`` is empty if it has none."""
        if reservation and (found := self.reserved(name, reservation)) is not None and found.free_gpus:
            return found
        return self.fleet.hosts.get(name)


def view(fleet: Fleet, reserved: Callable[[str, str], Host | None] = lambda _node, _key: None) -> View:
    """The nodes as this fleet has them: GPUs that are ill or held are not free in it."""
    inside: dict[str, str] = {}
    every: dict[str, int] = {}
    free: dict[str, int] = {}
    for host in fleet.hosts.values():
        closest = next((tier for tier in fleet.levels if tier in host.tiers), None)
        if closest is not None:
            domain = inside[host.name] = f"{closest} {host.tiers[closest]}"
            every[domain] = every.get(domain, 0) + sum(map(len, host.groups))
            free[domain] = free.get(domain, 0) + host.free_gpus
    return View(fleet, inside, {domain: 1 - free[domain] / (every[domain] or 1) for domain in every}, reserved)


def read(content: bytes) -> ExtenderArgs:
    """The request.

    Raises:
        ParseError: it is none.
    """
    return _ARGS.read(content, "the extender's request")


def filtered(args: ExtenderArgs, known: View) -> FilterResult:
    """The candidates that can serve the pod; of each other one, why not."""
    gpus, reservation = gpus_of(args), reservation_of(args)
    resolvable: dict[str, str] = {}
    final: dict[str, str] = {}
    for name in _names(args):
        host = known.host(name, reservation)
        if host is None or not gpus:
            continue
        if sum(map(len, host.groups)) < gpus and host.excluded is None:
            final[name] = f"nvtopo: it has fewer than {gpus} GPUs"
        elif (why := _unfit(host, gpus)) is not None:
            resolvable[name] = f"nvtopo: {why}"
    if args.node_names is not None or args.nodes is None:
        stay = [name for name in args.node_names or () if name not in resolvable and name not in final]
        return FilterResult(node_names=stay, failed_nodes=resolvable, failed_and_unresolvable_nodes=final)
    items = [
        item
        for item, name in zip(args.nodes.items or (), _names(args), strict=True)
        if name not in resolvable and name not in final
    ]
    nodes = {"metadata": {}, "items": items}
    return FilterResult(nodes=nodes, failed_nodes=resolvable, failed_and_unresolvable_nodes=final)


def prioritized(args: ExtenderArgs, known: View) -> list[HostPriority]:
    """A score for each candidate: a tight NVLink group, in a domain that is in use already, keeps the others whole."""
    gpus, reservation = gpus_of(args), reservation_of(args)
    return [HostPriority(name, _score(known, name, gpus, reservation)) for name in _names(args)]


def reservation_of(args: ExtenderArgs) -> str:
    """The reservation that the pod says it is for; empty if it says none."""
    if args.pod is None:
        return ""
    return pods.reservation_of(args.pod.metadata.namespace, args.pod.metadata.annotations or {})


def gpus_of(args: ExtenderArgs) -> int:
    """GPUs that the pod asks for, all containers together."""
    if args.pod is None:
        return 0
    return sum(_number(container.resources) for container in args.pod.spec.containers)


def _number(resources: _Resources) -> int:
    said = str(resources.limits.get(GPU, resources.requests.get(GPU, 0)))
    return int(said) if said.isascii() and said.isdigit() and len(said) < 6 else 0  # noqa: PLR2004 - no node has more


def _names(args: ExtenderArgs) -> Iterable[str]:
    if args.node_names is not None or args.nodes is None:
        return args.node_names or ()
    return [_HEAD.read(item, "the extender's request").metadata.name for item in args.nodes.items or ()]


def _unfit(host: Host, gpus: int) -> str | None:
    if host.excluded is not None:
        return host.excluded
    if host.room(gpus):
        return None
    return f"no {gpus} GPUs that are well, free of reservations and joined by NVLink"


def _score(known: View, name: str, gpus: int, reservation: str) -> int:
    host = known.host(name, reservation)
    if host is None or not gpus or not host.room(gpus):
        return 0
    share = known.shares.get(known.inside.get(name, ""), 0.0)
    largest = host.group_size
    spare = min([len(group) - gpus for group in host.free if len(group) >= gpus], default=largest)
    return round(_HALF * (1 - spare / largest) + _HALF * share)
