"""The thread that compares what DRA drivers publish with what the nodes see, and tells the loop what does not fit."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster import slices
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.slice_index import SliceIndex
from nvtopo.cluster.slices import Lasting, Slice
from nvtopo.kube.following import Listed
from nvtopo.kube.resource_slices import SliceEvent
from nvtopo.runtime.guard import Failed, Guard

SOURCE: Final = "resource-slices"
LASTING_SECONDS: Final = 120.0
"""That something must last: an agent looks at its node at least once a minute."""
_TICK_SECONDS: Final = 5.0


def noted(slices: SliceIndex, event: SliceEvent) -> frozenset[str]:
    """The nodes whose slices are others after this event."""
    return slices.replace(event.objects) if isinstance(event, Listed) else slices.change(event.name, event.value)


class SliceSource(Protocol):
    """What is needed of ``kube.resource_slices.ResourceSlices``."""

    def events(self, stop: threading.Event) -> Iterator[SliceEvent]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


class SliceWatch:
    """Follows the slices and compares them while ``run`` runs."""

    def __init__(
        self,
        source: SliceSource,
        aggregator: Aggregator,
        *,
        lasting_seconds: float = LASTING_SECONDS,
        tick_seconds: float = _TICK_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._aggregator = aggregator
        self._tick = tick_seconds
        self._clock = clock
        self._lasting = Lasting(lasting_seconds)
        self._guard = Guard()
        self._lock = threading.Lock()
        self._slices = SliceIndex()
        self._changed: set[str] = set()
        self._told: Mapping[str, Reading] = {}

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        reader = threading.Thread(target=self._read, args=(stop,), name="resource-slices", daemon=True)
        end_listening = self._aggregator.listen(self._heard)
        reader.start()
        try:
            while not stop.wait(self._tick):
                self.look()
        finally:
            end_listening()
            reader.join()

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

    def take(self, event: SliceEvent) -> None:
        """Take in what happened to the slices."""
        with self._lock:
            self._changed |= noted(self._slices, event)

    def _take(self) -> dict[str, list[Slice]]:
        """The nodes that changed, with their slices now."""
        with self._lock:
            names, self._changed = self._changed, set()
            return {name: self._slices.of_node(name) for name in names}

    def _doubts(self, name: str, found: list[Slice], graph: ClusterGraph) -> frozenset[slices.Doubt]:
        node = graph.nodes.get(name)
        if node is None or not found:
            return frozenset()
        doubted = self._guard.call(name, "slices", lambda: slices.doubts(found, node))
        return frozenset() if isinstance(doubted, Failed) else doubted

    def _heard(self) -> None:
        """In the loop's thread, once for each graph."""
        graph = self._aggregator.graph
        if graph is not None:
            with self._lock:
                self._changed |= {name for name in graph.delta.nodes if name in self._slices}

    def _read(self, stop: threading.Event) -> None:
        for event in self._source.events(stop):
            self.take(event)
            if stop.is_set():
                return
