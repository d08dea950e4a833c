"""``Devices``: which GPUs of which node a DRA driver publishes, and which of them ResourceClaims hold.

A GPU that a claim holds is in use, whoever made the claim and whether its pod runs or not.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.slice_index import SliceIndex, Whose
from nvtopo.cluster.slices import GPU_DRIVER, OWN_DRIVER, Device, Slice, newest
from nvtopo.model.records.node import NodeTopology
from nvtopo.placement.device_claims import DeviceClaim

T = TypeVar("T")
V = TypeVar("V")
Nodes = Mapping[str, GraphNode]
Key = tuple[str, str]
"""Namespace and name of a claim."""
_KEEP_AWAY: Final = (":NoSchedule", ":NoExecute")


class Claimed(NamedTuple):
    """GPUs by their indices on the nodes."""

    held: Mapping[str, frozenset[int]] = MappingProxyType({})
    """Held by claims."""
    unknown: Mapping[str, int] = MappingProxyType({})
    """How many devices more claims hold of a node, of which it is not known which GPUs they are."""
    published: Mapping[str, frozenset[int]] | None = None
    """Those that a claim may get; None if nobody follows that."""


class Moved(NamedTuple):
    """What a change of claims did to GPUs."""

    taken: bool
    """A claim holds one that it did not hold before."""
    freed: bool


NOTHING_CLAIMED: Final = Claimed()


class _Node(NamedTuple):
    """One node, as its slices, the claims and its own topology have it."""

    topology: NodeTopology | None
    published: frozenset[int]
    held: Mapping[int, Key]
    """GPU → the claim that holds it."""
    unknown: int


class Devices:
    """Follows claims and reads the slices; the graph's nodes say which GPU a UUID is."""

    def __init__(self, slices: SliceIndex) -> None:
        """``see_slices`` is told of each change of them."""
        self._slices = slices
        self._claims: dict[Key, DeviceClaim] = {}
        self._claims_in: dict[str, set[Key]] = {}
        """Pool → the claims that hold a device of it."""
        self._homes: dict[str, frozenset[str]] = {}
        self._pools_of: dict[str, set[str]] = {}
        """Pool → the nodes that it is of, and the reverse."""
        self._nodes: dict[str, _Node] = {}
        self._stale: set[str] = set()
        self._of: Nodes = MappingProxyType({})
        self._claimed = Claimed(published=MappingProxyType({}))

    def see_slices(self, changed: Iterable[Whose]) -> bool:
        """These slices are others now; whether some of them have NVIDIA's GPUs."""
        nodes = {node for driver, node in changed if driver == GPU_DRIVER and node}
        for node in nodes:
            for pool in {*self._pools_of.get(node, ()), *(one.pool for one in self._published(node))}:
                self._settle(pool)
        self._stale |= nodes
        return bool(nodes)

    def list_claims(self, claims: Iterable[DeviceClaim]) -> None:
        """All there are."""
        there = {one.key: one for one in claims}
        for key in [key for key in self._claims if key not in there]:
            self.see_claim(key, None)
        for key, one in there.items():
            self.see_claim(key, one)

    def see_claim(self, key: Key, now: DeviceClaim | None) -> Moved:
        """One that came, changed or went."""
        before = self._claims.pop(key, None)
        gpus = () if now is None else now.gpus
        held = () if before is None else before.gpus
        for pool in {pool for pool, _device in held}:
            _discard(self._claims_in, pool, key)
        if now is not None and gpus:
            self._claims[key] = now
            for pool in {pool for pool, _device in gpus}:
                self._claims_in.setdefault(pool, set()).add(key)
        for pool in {pool for pool, _device in (*held, *gpus)}:
            self._settle(pool)
        return Moved(not {*gpus} <= {*held}, not {*held} <= {*gpus})

    def claimed(self, nodes: Nodes) -> Claimed:
        """All of it on the nodes of a graph; the same object as long as nothing changed."""
        if nodes is not self._of:
            self._of = nodes
            self._stale |= {name for name, one in self._nodes.items() if _topology(nodes, name) is not one.topology}
        if self._stale:
            self._claimed = self._judge()
        return self._claimed

    def has_plugin(self, node: str) -> bool:
        """Whether our driver publishes something there: the kubelet can prepare a claim on a device of ours."""
        return any(one.driver == OWN_DRIVER for one in self._slices.of_node(node))

    def holder(self, node: str, gpu: int) -> Key | None:
        """The claim that holds a GPU, as of the latest ``claimed``; none if that is being deleted."""
        found = self._nodes.get(node)
        key = None if found is None else found.held.get(gpu)
        claim = None if key is None else self._claims.get(key)
        return None if claim is None or claim.leaving else key

    def _settle(self, pool: str) -> None:
        """Where a pool is now: with each node that publishes it, so that none takes it from another.

        If none does, it is where it was, or with the node of its name.
        """
        before = self._homes.pop(pool, frozenset())
        now = self._slices.homes(GPU_DRIVER, pool)
        if not now and pool in self._claims_in:
            now = before or frozenset((pool,))
        for node in before:
            _discard(self._pools_of, node, pool)
        for node in now:
            self._pools_of.setdefault(node, set()).add(pool)
        if now:
            self._homes[pool] = now
        self._stale |= before | now

    def _judge(self) -> Claimed:
        """All of it, with what is known anew of stale nodes. A part that stays is the same object."""
        held: dict[str, frozenset[int]] = {}
        unknown: dict[str, int] = {}
        published: dict[str, frozenset[int]] = {}
        for name in self._stale:
            self._nodes.pop(name, None)
            if name in self._pools_of:
                now = self._nodes[name] = self._judged(name)
                held[name], unknown[name], published[name] = frozenset(now.held), now.unknown, now.published
        before = self._claimed
        found = Claimed(
            _with(before.held, held, self._stale),
            _with(before.unknown, unknown, self._stale),
            _with(before.published or {}, published, self._stale),
        )
        self._stale.clear()
        return found

    def _judged(self, name: str) -> _Node:
        topology = _topology(self._of, name)
        indices = {gpu.uuid: gpu.index for gpu in topology.gpus} if topology is not None else {}
        slices = self._published(name)
        uuids = {(one.pool, device.name): device.uuid or "" for one in slices for device in one.devices}
        published = frozenset(indices[uuid] for device in _free_to_all(slices) if (uuid := device.uuid) in indices)
        held: dict[int, Key] = {}
        unknown = 0
        pools = self._pools_of[name]
        for key in sorted({key for pool in pools for key in self._claims_in.get(pool, ())}):
            for pool, device in self._claims[key].gpus:
                if pool not in pools:
                    continue
                index = indices.get(uuids.get((pool, device), ""))
                if index is None:
                    unknown += 1
                else:
                    held[index] = key
        return _Node(topology, published, held, unknown)

    def _published(self, node: str) -> list[Slice]:
        return [one for one in self._slices.of_node(node) if one.driver == GPU_DRIVER]


def _free_to_all(slices: Iterable[Slice]) -> Iterator[Device]:
    """The devices without a taint that keeps pods away, of pools that are whole: of others the scheduler uses none."""
    for now, _older in newest(slices).values():
        if len(now) == max(one.parts for one in now):
            devices = (device for one in now for device in one.devices)
            yield from (device for device in devices if not any(taint.endswith(_KEEP_AWAY) for taint in device.taints))


def _with(before: Mapping[str, V], now: Mapping[str, V], names: Iterable[str]) -> Mapping[str, V]:
    """With what these names have now; who has nothing has no entry."""
    changed = {name: now.get(name) or None for name in names}
    changed = {name: value for name, value in changed.items() if value != before.get(name)}
    if not changed:
        return before
    found = {**before, **{name: value for name, value in changed.items() if value is not None}}
    for name in [name for name, value in changed.items() if value is None]:
        del found[name]
    return found


def _topology(nodes: Nodes, name: str) -> NodeTopology | None:
    node = nodes.get(name)
    return None if node is None else node.topology


def _discard(sets: dict[str, set[T]], name: str, one: T) -> None:
    sets[name].discard(one)
    if not sets[name]:
        del sets[name]
