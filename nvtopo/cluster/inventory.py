"""The inventory: node name → ``NodeTopology``, folded from a stream of events.

Events of different nodes commute: however they interleave, the result is the same. Stores (``nvtopo.kube``) produce
the events, the aggregator folds them. The maps are persistent: an event costs the same in a large cluster as in a small
one, and every inventory before stays as it was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from immutables import Map, MapMutation

from nvtopo.cluster import records as recording
from nvtopo.cluster.accepted import Acceptance
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.events import (
    Accepted,
    Applied,
    Deleted,
    Drifted,
    Event,
    Listed,
    Recorded,
    Refused,
    Silent,
    StoreEvent,
    TiersReported,
    Unreadable,
)
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.records import NodeRecord
from nvtopo.model.records.node import NodeTopology

__all__ = (
    "Accepted",
    "Applied",
    "Deleted",
    "Drifted",
    "Event",
    "Inventory",
    "Listed",
    "Recorded",
    "Refused",
    "Silent",
    "StoreEvent",
    "TiersReported",
    "Unreadable",
    "fold",
    "fold_all",
)


def _empty() -> Map[str, Any]:
    return Map()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All nodes known at one moment; ``generation`` grows with every event that changed something."""

    nodes: Map[str, NodeTopology] = field(default_factory=_empty)
    unreadable: Map[str, str] = field(default_factory=_empty)
    generation: int = 0
    silent: Map[str, str | None] = field(default_factory=_empty)
    """Stale nodes, whether the store has them or not."""
    records: Map[str, NodeRecord] = field(default_factory=_empty)
    """What the API server keeps of the nodes."""
    drift: frozenset[NodeFinding] = frozenset()
    """What differs from what is expected, as far as it has lasted."""
    told: Map[str, Mapping[str, Reading]] = field(default_factory=_empty)
    """What sources beside the nodes say: source → name → reading."""
    readings: Mapping[str, Reading] = field(default_factory=_empty)
    """The same of all sources; the same object as long as nobody says anything else."""
    accepted: Map[str, Acceptance] = field(default_factory=_empty)
    """What operators accepted, of nodes that the store has or not."""
    mark: object = field(default_factory=object, compare=False, repr=False)
    """Tells this inventory from all others."""
    base: object = field(default=None, compare=False, repr=False)
    """The mark of the inventory that this one was folded from."""
    touched: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The nodes that may differ from that one."""

    def only(self, nodes: Mapping[str, NodeTopology]) -> "Inventory":
        """The same, with these nodes as the readable ones."""
        return replace(self, nodes=Map(nodes), mark=object(), base=None)

    def recorded(self, records: Map[str, NodeRecord]) -> "Inventory":
        """The same, with what a graph of it says that should be recorded."""
        return self if records is self.records else replace(self, records=records)


def fold(inventory: Inventory, event: Event) -> Inventory:
    """The inventory after ``event``; the same object where nothing changed."""
    return fold_all(inventory, (event,))


def fold_all(inventory: Inventory, events: Iterable[Event]) -> Inventory:
    """The inventory after all ``events``: what ``fold`` gives one by one.

    A node that is written again with equal content keeps its object, so conclusions from it stay valid.
    """
    draft = _Draft(inventory)
    changes = sum(draft.apply(event) for event in events)
    return draft.finish(changes) if changes else inventory


class _Draft:
    """The maps while events are applied to them."""

    def __init__(self, inventory: Inventory) -> None:
        self._nodes: MapMutation[str, NodeTopology] = inventory.nodes.mutate()
        self._unreadable: MapMutation[str, str] = inventory.unreadable.mutate()
        self._records: MapMutation[str, NodeRecord] = inventory.records.mutate()
        self._silent = inventory.silent
        self._drift = inventory.drift
        self._told = inventory.told
        self._accepted = inventory.accepted
        self._before = inventory
        self._touched: set[str] = set()

    def finish(self, changes: int) -> Inventory:
        return Inventory(
            self._nodes.finish(),
            self._unreadable.finish(),
            self._before.generation + changes,
            self._silent,
            self._records.finish(),
            self._drift,
            self._told,
            self._before.readings if self._told is self._before.told else _all(self._told),
            self._accepted,
            base=self._before.mark,
            touched=frozenset(self._touched),
        )

    def apply(self, event: Event) -> bool:
        """Apply one event; whether it changed anything."""
        match event:
            case Listed():
                return self._replace(event)
            case Silent(silent):
                return self._silence(silent)
            case Accepted(accepted):
                return self._accept(accepted)
            case Drifted(drift):
                changed, self._drift = drift != self._drift, drift
                return changed
            case TiersReported(source, readings):
                return self._tell(source, readings)
        changed = self._one(event)
        if changed:
            self._touched.add(event.name)
        return changed

    def _one(self, event: Applied | Unreadable | Refused | Recorded | Deleted) -> bool:
        match event:
            case Applied(name, topology):
                if self._nodes.get(name) == topology:
                    return False
                self._nodes[name] = topology
                self._unreadable.pop(name, None)
            case Unreadable(name, reason):
                if self._unreadable.get(name) == reason:
                    return False
                self._nodes.pop(name, None)
                self._unreadable[name] = reason
            case Refused(name, topology, reason):
                if self._nodes.get(name) is not topology:
                    return False
                del self._nodes[name]
                self._unreadable[name] = reason
            case Recorded(name, record):
                return self._record(name, record)
            case Deleted(name):
                self._records.pop(name, None)
                return (self._nodes.pop(name, None) is not None) | (self._unreadable.pop(name, None) is not None)
        return True

    def _record(self, name: str, record: NodeRecord) -> bool:
        """A record without an object means nothing."""
        if name not in self._nodes and name not in self._unreadable:
            return False
        known = self._records.get(name)
        joined = recording.joined(known, record)
        if joined is None or joined == known:
            return False
        self._records[name] = joined
        return True

    def _accept(self, accepted: Mapping[str, Acceptance]) -> bool:
        names = {*self._accepted, *accepted}
        changed = {name for name in names if self._accepted.get(name) != accepted.get(name)}
        self._touched |= changed
        self._accepted = Map(accepted)
        return bool(changed)

    def _silence(self, silent: Mapping[str, str | None]) -> bool:
        if dict(self._silent) == silent:
            return False
        names = {*self._silent, *silent}
        self._touched |= {name for name in names if self._silent.get(name, "") != silent.get(name, "")}
        self._silent = Map(silent)
        return True

    def _tell(self, source: str, readings: Mapping[str, Reading]) -> bool:
        if self._told.get(source, {}) == readings:
            return False
        self._told = self._told.set(source, dict(readings)) if readings else self._told.delete(source)
        return True

    def _replace(self, listed: Listed) -> bool:
        """Replace everything, but keep the existing object of a node that is equal."""
        changed = False
        for name in {*self._before.nodes, *self._before.unreadable, *self._touched}:
            if name not in listed.nodes and name not in listed.unreadable:
                changed |= self.apply(Deleted(name))
        for name, reason in listed.unreadable.items():
            changed |= self.apply(Unreadable(name, reason))
        for name, topology in listed.nodes.items():
            if name not in listed.unreadable:
                changed |= self.apply(Applied(name, topology))
        for name, record in listed.records.items():
            changed |= self.apply(Recorded(name, record))
        return changed


def _all(told: Mapping[str, Mapping[str, Reading]]) -> dict[str, Reading]:
    """The readings of all sources. Where two use one name, the later source is named with it."""
    found: dict[str, Reading] = {}
    for source in sorted(told):
        for name, reading in told[source].items():
            found[f"{name} ({source})" if name in found else name] = reading
    return found
