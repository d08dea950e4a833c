"""What the nodes' own resources say of the names in a source of the network."""

from collections.abc import Callable, Mapping

from nvtopo.cluster.graph import ClusterGraph
from nvtopo.fabrics.fabric import Known
from nvtopo.model.records.node import NodeTopology


def known_of(nodes: Mapping[str, NodeTopology]) -> Known:
    """The nodes, and the GUIDs of their InfiniBand adapters; a GUID that two nodes claim names neither."""
    found: dict[str, tuple[str, str]] = {}
    twice: set[str] = set()
    for name, node in nodes.items():
        for nic in node.nics:
            if nic.guid and found.setdefault(nic.guid, (name, nic.name))[0] != name:
                twice.add(nic.guid)
    return Known({guid: owner for guid, owner in found.items() if guid not in twice}, frozenset(nodes))


class KnownNodes:
    """The same of the latest graph, made again only where somebody asks after the nodes changed."""

    def __init__(self, graph: Callable[[], ClusterGraph | None]) -> None:
        self._graph = graph
        self._of: object = None
        self._known: Known | None = None

    def __call__(self) -> Known | None:
        """What is known; None before there is a graph."""
        graph = self._graph()
        if graph is None:
            return None
        local = graph.local
        if local is not self._of:
            nodes = {name: node.topology for name, node in local.items() if node.topology is not None}
            self._of, self._known = local, known_of(nodes)
        return self._known
