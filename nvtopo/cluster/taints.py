"""Which devices of GPU drivers are tainted because their GPU is degraded: a state machine without I/O.

A fault must last before its GPU is tainted, and be away as long before it is not. What is not known changes nothing:
a taint stays while its node is not heard, or does not see the GPU. If more GPUs are degraded than may be tainted, no
more are: a fault of the whole fleet must not take all of its GPUs away.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.drift import Drifts, Sight, Timing
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.slice_index import SliceIndex
from nvtopo.cluster.slices import Slice, newest
from nvtopo.model.changes.change import DERIVED, Change
from nvtopo.model.conclusions import health

MOST: Final = 64
_SHARE: Final = 4
"""One of so many of the cluster's GPUs may be tainted."""


class Target(NamedTuple):
    """A device, as a DeviceTaintRule selects it."""

    driver: str
    pool: str
    device: str


class Decision(NamedTuple):
    """What should be tainted."""

    taints: Mapping[Target, str]
    """Device → the code of the fault."""
    withheld: int = 0
    """How many are not tainted, since there are too many."""
    allowed: int = 0
    """How many may be."""


class DeviceTaints:
    """What is tainted. Moments are seconds of one clock."""

    def __init__(self, timing: Timing | None = None, *, most: int = MOST, own_driver: str = "") -> None:
        """Nothing is known yet. ``own_driver`` is the one whose devices are never tainted: they stand for others."""
        self._drifts = Drifts(timing)
        self._most = most
        self._own = own_driver
        self._latest: dict[tuple[str, str], Target] = {}
        self._standing: dict[Target, str] = {}

    def adopt(self, standing: Mapping[Target, str]) -> None:
        """These are tainted at the API server: device → code."""
        self._standing = {**standing, **self._standing}

    def see(self, name: str, node: GraphNode | None, slices: SliceIndex, now: float, *, first: bool = False) -> None:
        """Take in a node as it is now; None for one that is gone. ``first`` is the first look at all nodes."""
        if node is None or not node.in_store:
            self._drifts.see(name, None, now)
            return
        heard = node.topology is not None and node.judged is not None and not node.stale
        sight = Sight(tuple(_faults(node)), booting=_trains(node), heard=heard)
        self._drifts.see(name, sight, now, first=first, lasted=first and self._has_tainted(name, slices))

    def decide(self, nodes: Mapping[str, GraphNode], slices: SliceIndex, now: float) -> Decision:
        """What should be tainted now."""
        self._drifts.tick(now)
        wanted: dict[Target, str] = {}
        latest: dict[tuple[str, str], Target] = {}
        for name, faults in self._drifts.drifting.items():
            for fault in faults:
                for target in self._targets(nodes.get(name), fault.subject, slices):
                    wanted[target] = str(fault.after)
                    latest[name, fault.subject] = target
        self._latest = latest
        kept = {
            target: wanted.get(target, code)
            for target, code in self._standing.items()
            if target in wanted or self._not_known(target, nodes, slices)
        }
        new = {target: code for target, code in wanted.items() if target not in kept}
        allowed = min(self._most, max(1, sum(node.gpus or 0 for node in nodes.values()) // _SHARE))
        if new and len(kept) + len(new) > allowed:
            self._standing = kept
            return Decision(dict(sorted(kept.items())), len(new), allowed)
        self._standing = kept | new
        return Decision(dict(sorted(self._standing.items())), 0, allowed)

    def _has_tainted(self, node: str, slices: SliceIndex) -> bool:
        tainted = {(target.driver, target.pool) for target in self._standing}
        pools = {(one.driver, one.pool) for one in slices.of_node(node)} & tainted
        return any(slices.home(*pool) == node for pool in pools)

    def _targets(self, node: GraphNode | None, uuid: str, slices: SliceIndex) -> list[Target]:
        """The devices of a GPU; while no driver publishes one, as when a kubelet starts, the one before."""
        if node is None:
            return []
        found = [target for target, whose in self._devices(node, slices) if whose == uuid]
        before = self._latest.get((node.name, uuid))
        return found or ([before] if before is not None else [])

    def _devices(self, node: GraphNode, slices: SliceIndex) -> Iterator[tuple[Target, str]]:
        """The devices of a node's GPUs, each with the UUID of its GPU. A pool that other nodes use too is nobody's."""
        if node.topology is None:
            return
        at = {gpu.pci_address.lower(): gpu.uuid for gpu in node.topology.gpus if gpu.pci_address}
        known = {gpu.uuid for gpu in node.topology.gpus}
        for (driver, pool), (now, _older) in newest(slices.of_node(node.name)).items():
            if driver == self._own or slices.home(driver, pool) != node.name:
                continue
            for device in (device for one in now for device in one.devices):
                uuid = at.get(device.bus_id or "") or (device.uuid if device.uuid in known else None)
                if uuid is not None:
                    yield Target(driver, pool, device.name), uuid

    def _not_known(self, target: Target, nodes: Mapping[str, GraphNode], slices: SliceIndex) -> bool:
        """Whether nobody knows how the GPU of a device is now: its node is not heard, or does not see that GPU.

        Nor does anybody while another node publishes its pool too, which must not take the taint away.
        """
        if slices.shared(target.driver, target.pool):
            return True
        node = nodes.get(slices.home(target.driver, target.pool) or "")
        if node is None or not node.in_store:
            return False
        if node.topology is None or node.judged is None or node.stale:
            return True
        seen = {found for found, _ in self._devices(node, slices)}
        return target not in seen and target in set(_published(slices.of_node(node.name)))


def _published(slices: list[Slice]) -> Iterator[Target]:
    return (Target(one.driver, one.pool, device.name) for one in slices for device in one.devices)


def _faults(node: GraphNode) -> Iterator[Change]:
    """A change for each GPU that has a fault in a job's way. Parts of a GPU (MIG) are devices of their own."""
    if node.topology is None or node.judged is None or not node.judged.reasons:
        return
    for gpu in node.topology.gpus:
        fault = health.in_the_way(node.judged.gpus.get(gpu.index, health.Health()))
        if fault is not None and not gpu.mig:
            yield Change(kind=DERIVED, subject=gpu.uuid, path="health", before="ok", after=fault.code)


def _trains(node: GraphNode) -> bool:
    training = node.topology is not None and any(gpu.nvlink_training for gpu in node.topology.gpus)
    return training or (node.judged is not None and node.judged.level == "registering")
