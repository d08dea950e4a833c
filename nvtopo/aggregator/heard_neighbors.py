"""The thread that compares what the agents of all nodes hear by LLDP, and tells the loop what follows for tiers."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

from nvtopo.cluster.claims import Reading
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.fabrics import heard
from nvtopo.model.records.facts import Neighbor

SOURCE: Final = "lldp"
LOOK_SECONDS: Final = 2.0
"""Between two looks at the graph. All that is heard is compared with each other each time that any of it changed."""


class HeardNeighbors:
    """Publishes what follows whenever it changes while ``run`` runs."""

    def __init__(
        self,
        graph: Callable[[], ClusterGraph | None],
        publish: Callable[[Mapping[str, Reading]], None],
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._graph = graph
        self._publish = publish
        self._seconds = look_seconds
        self._of: object = None
        self._said: dict[str, tuple[Neighbor, ...]] = {}
        self._published: Mapping[str, Reading] = {}

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        while not stop.wait(self._seconds):
            self.look()

    def look(self) -> None:
        """Compare again if any node hears another neighbour than before."""
        graph = self._graph()
        if graph is None or graph.local is self._of:
            return
        self._of = graph.local
        nodes = graph.local.items()
        said = {name: node.topology.neighbors for name, node in nodes if node.topology and node.topology.neighbors}
        if said == self._said:
            return
        self._said = said
        found = heard.reading(said)
        if found != self._published:
            self._published = found
            self._publish(found)
