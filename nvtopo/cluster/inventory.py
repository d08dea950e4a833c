"""The inventory: node name → ``NodeTopology``, folded from a stream of events.

Events of different nodes commute: however they interleave, the result is the same. Stores (``nvtopo.kube``) produce
the events, the aggregator folds them.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from nvtopo.model.node import NodeTopology


class Listed(NamedTuple):
    """The whole content of the store at once: replaces everything known before."""

    nodes: Mapping[str, NodeTopology]
    unreadable: Mapping[str, str] = MappingProxyType({})
    """Objects whose content is not what the schema promises: name → reason."""


class Applied(NamedTuple):
    """A node's topology was written."""

    name: str
    topology: NodeTopology


class Unreadable(NamedTuple):
    """A node's object was written and is not what the schema promises."""

    name: str
    reason: str


class Deleted(NamedTuple):
    """A node's object is gone."""

    name: str


Event = Listed | Applied | Unreadable | Deleted


class Inventory(NamedTuple):
    """All nodes known at one moment; ``generation`` grows with every event that changed something."""

    nodes: Mapping[str, NodeTopology] = MappingProxyType({})
    unreadable: Mapping[str, str] = MappingProxyType({})
    generation: int = 0


def fold(inventory: Inventory, event: Event) -> Inventory:
    """The inventory after ``event``; the same object where nothing changed."""
    return fold_all(inventory, (event,))


def fold_all(inventory: Inventory, events: Iterable[Event]) -> Inventory:
    """The inventory after all ``events``: what ``fold`` gives one by one, copying the inventory once for all of them.

    A node that is written again with equal content keeps the object it had, so what was concluded from it stays valid.
    """
    nodes, unreadable = dict(inventory.nodes), dict(inventory.unreadable)
    changes = sum(_apply(nodes, unreadable, event) for event in events)
    if not changes:
        return inventory
    return Inventory(MappingProxyType(nodes), MappingProxyType(unreadable), inventory.generation + changes)


def _apply(nodes: dict[str, NodeTopology], unreadable: dict[str, str], event: Event) -> bool:
    """Apply one event to the two working copies; whether it changed anything."""
    match event:
        case Listed(listed, broken):
            return _replace(nodes, unreadable, listed, broken)
        case Applied(name, topology):
            if nodes.get(name) == topology:
                return False
            nodes[name] = topology
            unreadable.pop(name, None)
        case Unreadable(name, reason):
            if unreadable.get(name) == reason:
                return False
            nodes.pop(name, None)
            unreadable[name] = reason
        case Deleted(name):
            return (nodes.pop(name, None) is not None) | (unreadable.pop(name, None) is not None)
    return True


def _replace(
    nodes: dict[str, NodeTopology],
    unreadable: dict[str, str],
    listed: Mapping[str, NodeTopology],
    broken: Mapping[str, str],
) -> bool:
    """Everything anew, except that a node equal to the one we have stays the object it is."""
    readable = {name: topology for name, topology in listed.items() if name not in broken}
    kept = {name: nodes[name] if nodes.get(name) == topology else topology for name, topology in readable.items()}
    changed = kept != nodes or dict(broken) != unreadable
    nodes.clear()
    nodes.update(kept)
    unreadable.clear()
    unreadable.update(broken)
    return changed
