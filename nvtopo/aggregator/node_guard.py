"""What is concluded of a node, guarded: one that makes any stage raise is unreadable, and no other is concerned.

Every stage passes here. The graph's own builds call ``conclude``; what is computed later (status, documents) passes
``call``, and the node becomes unreadable with the next graph.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from nvtopo.cluster import nodes as concluding
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Refused, fold
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters import document
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.guard import Failed, Guard

T = TypeVar("T")
_UNUSABLE: Final = Reading(refused="nothing can be concluded from it: see the log of the aggregator")


class NodeGuard:
    """Usable from several threads at once."""

    def __init__(self, refuse: Callable[[Refused], None]) -> None:
        """``refuse`` takes a node whose later stage failed."""
        self._guard = Guard()
        self._refuse = refuse
        self._ready: dict[str, tuple[NodeTopology, GraphNode]] = {}

    def prepare(self, nodes: Mapping[str, NodeTopology]) -> None:
        """Conclude of these nodes now what the next build will ask for."""
        for name, topology in nodes.items():
            self._ready[name] = topology, self._conclude(name, topology)

    def prepared(self) -> None:
        """Nothing is asked for any more that ``prepare`` made."""
        self._ready = {}

    def conclude(self, name: str, topology: NodeTopology) -> GraphNode:
        """The node by itself; see ``prepare``."""
        ready = self._ready.get(name)
        return ready[1] if ready is not None and ready[0] is topology else self._conclude(name, topology)

    def _conclude(self, name: str, topology: NodeTopology) -> GraphNode:
        """The node, once its entry in the documents is sure to be made; an unreadable one if that fails."""

        def concluded() -> GraphNode:
            node = concluding.readable(name, topology)
            document.entry(node)
            return node

        found = self._guard.call(name, "conclude", concluded)
        return concluding.unreadable(name, found.reason) if isinstance(found, Failed) else found

    def call(self, node: GraphNode, stage: str, function: Callable[[], T]) -> T | Failed:
        """What a later stage gives for a node. If it fails, the node is refused until its object changes."""
        found = self._guard.call(node.name, stage, function)
        if isinstance(found, Failed) and node.topology is not None:
            self._refuse(Refused(node.name, node.topology, found.reason))
        return found

    def build(
        self, inventory: Inventory, previous: ClusterGraph | None, now: str | None = None
    ) -> tuple[Inventory, ClusterGraph] | Failed:
        """The graph, and the inventory that it is of: nodes without which it can be built are refused."""
        built = self._built(inventory, previous, now)
        if not isinstance(built, Failed):
            return inventory, built
        inventory = self._without_readings(inventory, previous)
        without = self._without_culprits(inventory, previous, built.reason)
        again = self._built(without, previous, now)
        return again if isinstance(again, Failed) else (without, again)

    def _built(
        self, inventory: Inventory, previous: ClusterGraph | None, now: str | None = None
    ) -> ClusterGraph | Failed:
        return self._guard.call("graph", "build", lambda: build(inventory, previous, now=now, conclude=self.conclude))

    def _without_readings(self, inventory: Inventory, previous: ClusterGraph | None) -> Inventory:
        """The inventory with those sources refused that no graph can be built with: no node answers for a source."""
        bare = dict.fromkeys(inventory.readings, _UNUSABLE)
        if not bare or isinstance(self._built(replace(inventory, readings=bare), previous), Failed):
            return inventory
        for name, reading in inventory.readings.items():
            tried = replace(inventory, readings={**bare, name: reading})
            if not isinstance(self._built(tried, previous), Failed):
                bare[name] = reading
        return replace(inventory, readings=bare)

    def _without_culprits(self, inventory: Inventory, previous: ClusterGraph | None, reason: str) -> Inventory:
        """The inventory with those nodes refused that no graph can be built with, found by halving."""
        known = {} if previous is None else previous.local
        changed = [
            name for name, one in inventory.nodes.items() if name not in known or known[name].topology is not one
        ]
        good = {name: one for name, one in inventory.nodes.items() if name not in set(changed)}
        culprits: list[str] = []

        def search(names: list[str]) -> None:
            tried = inventory.only(good | {name: inventory.nodes[name] for name in names})
            built = self._built(tried, previous)
            if not isinstance(built, Failed):
                good.update(tried.nodes)
            elif len(names) <= 1:
                culprits.extend(names)
            else:
                search(names[: len(names) // 2])
                search(names[len(names) // 2 :])

        search(changed)
        for name in culprits:
            inventory = fold(inventory, Refused(name, inventory.nodes[name], reason))
        return inventory
