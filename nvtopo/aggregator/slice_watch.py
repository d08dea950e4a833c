"""The thread that compares what DRA drivers publish with what the nodes see, and tells the loop what does not fit."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from nvtopo.aggregator.followed_slices import FollowedSlices, nodes_of
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster import slices
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.slice_index import Whose
from nvtopo.cluster.slices import Lasting, Slice
from nvtopo.runtime.guard import Failed, Guard

SOURCE: Final = "resource-slices"
LASTING_SECONDS: Final = 120.0
"""That something must last: an agent looks at its node at least once a minute."""
_TICK_SECONDS: Final = 5.0


class SliceWatch:
    """Compares the slices while ``run`` runs."""

    def __init__(
        self,
        slices: FollowedSlices,
        aggregator: Aggregator,
        *,
        lasting_seconds: float = LASTING_SECONDS,
        tick_seconds: float = _TICK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slices = slices
        self._aggregator = aggregator
        self._tick = tick_seconds
        self._clock = clock
        self._lasting = Lasting(lasting_seconds)
        self._guard = Guard()
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._told: Mapping[str, Reading] = {}
        slices.listen(self._moved)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        end_listening = self._aggregator.listen(self._heard)
        try:
            while not stop.wait(self._tick):
                self.look()
        finally:
            end_listening()

    def look(self) -> None:
        """Compare the nodes that changed, and tell what has lasted if that is another thing than before."""
        graph = self._aggregator.graph
        if graph is None:
            return
        now = self._clock()
        for name, found in self._take().items():
            self._lasting.see(name, self._doubts(name, found, graph), now)
        lasted = self._lasting.lasted(now)
        told = {SOURCE: Reading(findings=slices.findings(lasted))} if lasted else {}
        if told != self._told:
            self._told = told
            self._aggregator.tell(SOURCE, told)

    def _take(self) -> dict[str, list[Slice]]:
        """The nodes that changed, with their slices now."""
        with self._lock:
            names, self._changed = self._changed, set()
        with self._slices.reading() as index:
            return {name: index.of_node(name) for name in names}

    def _doubts(self, name: str, found: list[Slice], graph: ClusterGraph) -> frozenset[slices.Doubt]:
        node = graph.nodes.get(name)
        if node is None or not found:
            return frozenset()
        doubted = self._guard.call(name, "slices", lambda: slices.doubts(found, node))
        return frozenset() if isinstance(doubted, Failed) else doubted

    def _moved(self, changed: frozenset[Whose]) -> None:
        with self._lock:
            self._changed |= nodes_of(changed)

    def _heard(self) -> None:
        """In the loop's thread, once for each graph."""
        graph = self._aggregator.graph
        if graph is not None:
            with self._slices.reading() as index:
                names = {name for name in graph.delta.nodes if name in index}
            with self._lock:
                self._changed |= names
