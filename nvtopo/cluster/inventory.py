"""The inventory: node name → ``NodeTopology``, folded from a stream of events.

Events of different nodes commute: however they interleave, the result is the same. Stores (``nvtopo.kube``) produce
the events, the aggregator folds them.
"""

from collections.abc import Mapping
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
    nodes, unreadable = dict(inventory.nodes), dict(inventory.unreadable)
    match event:
        case Listed(listed, broken):
            nodes, unreadable = dict(listed), dict(broken)
        case Applied(name, topology):
            nodes[name] = topology
            unreadable.pop(name, None)
        case Unreadable(name, reason):
            nodes.pop(name, None)
            unreadable[name] = reason
        case Deleted(name):
            nodes.pop(name, None)
            unreadable.pop(name, None)
    if nodes == inventory.nodes and unreadable == inventory.unreadable:
        return inventory
    return Inventory(MappingProxyType(nodes), MappingProxyType(unreadable), inventory.generation + 1)
