"""The thread that looks what drifts, tells the loop, and counts it for the metrics page."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.drift import Timing
from nvtopo.cluster.drift_events import between
from nvtopo.cluster.drift_fleet import FleetDrift, NodeSight, sight_of
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.model.changes.node_events import NodeEvent
from nvtopo.runtime.guard import Failed
from nvtopo.sinks.metrics.series import Family, declared, gauge

#: How often time alone is looked at.
_TICK_SECONDS: Final = 1.0

DRIFTING = gauge(
    "nvtopo_graph_drifting_nodes",
    "Number of nodes that differ from what is expected of their shape, by fact, such as driverVersion or link.width.",
    ("kind", "fact"),
    source="the NodeTopologies",
    absent="no node drifts in that fact",
)
SERIES = declared(globals())


def nobody() -> Collection[str]:
    """No node is in maintenance, as far as is known."""
    return ()


class DriftWatch:
    """Looks while ``run`` runs."""

    def __init__(  # noqa: PLR0913 - what it looks at and whom it tells, with defaults
        self,
        aggregator: Aggregator,
        planned: Callable[[], Collection[str]] = nobody,
        *,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        note: Callable[[str, NodeEvent], None] | None = None,
        drifted: Callable[[], Collection[str] | None] = lambda: None,
    ) -> None:
        """``planned`` are the nodes in maintenance. ``note`` takes an Event about a Node whose drift begins or ends.

        ``drifted`` are the nodes that were known to drift before this process began; None where nobody knows.
        """
        self._aggregator = aggregator
        self._planned = planned
        self._clock = clock
        self._note = note
        self._drifted = drifted
        self._looked = False
        self._fleet = FleetDrift(timing)
        self._changed = threading.Event()
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._told: frozenset[NodeFinding] = frozenset()
        self._away: frozenset[str] = frozenset()
        self._counts: Counter[tuple[str, str]] = Counter()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set: what changed at once, and time alone every second."""
        end_listening, first = self._aggregator.listen(self._heard), True
        try:
            while not stop.is_set():
                self._changed.clear()
                names, graph = self._take(), self._aggregator.graph
                if graph is not None:
                    self.look(graph, graph.nodes if first else names)
                    first = False
                self._changed.wait(_TICK_SECONDS)
                stop.wait(0 if first else _TICK_SECONDS)
        finally:
            end_listening()

    def look(self, graph: ClusterGraph, changed: Iterable[str]) -> None:
        """Takes in the nodes that changed, and tells what drifts if that is another thing than before."""
        now, away = self._clock(), frozenset(self._planned())
        names = {*changed, *((away ^ self._away) & graph.nodes.keys())}
        self._away = away
        first, self._looked = not self._looked, True
        drifted = self._drifted() if first else None  # of the looks after the first it says nothing
        self._fleet.see({name: self._sight(name, graph, away) for name in names}, now, drifted)
        if not self._fleet.tick(now) and not self._regrouped(graph):
            return
        found = self._fleet.findings({domain.id: domain.name for domain in graph.domains.values()})
        if found != self._told:
            if not first:  # what drifts when we begin to look is no news
                self._tell(found)
            self._told = found
            self._counts = _counts(self._fleet)
            self._aggregator.drifted(found)

    def families(self) -> Iterator[Family]:
        """The metric families of what drifts now."""
        family = Family(DRIFTING)
        for (kind, fact), count in sorted(self._counts.items()):
            family.add(count, kind, fact)
        yield family

    def _tell(self, found: frozenset[NodeFinding]) -> None:
        if self._note is not None:
            for node, event in between(self._told, found):
                self._note(node, event)

    def _regrouped(self, graph: ClusterGraph) -> bool:
        """Whether a domain came, went or has another name: findings name domains."""
        return graph.delta.domains and bool(self._told)

    def _sight(self, name: str, graph: ClusterGraph, away: frozenset[str]) -> NodeSight | None:
        node = graph.nodes.get(name)
        if node is None or not node.in_store:
            return None
        found = self._aggregator.guard.call(node, "drift", lambda: sight_of(node, planned=name in away))
        return None if isinstance(found, Failed) else found

    def _heard(self) -> None:
        """In the loop's thread, once for each graph."""
        graph = self._aggregator.graph
        if graph is not None:
            with self._lock:
                self._names |= graph.delta.nodes
            self._changed.set()

    def _take(self) -> set[str]:
        with self._lock:
            names, self._names = self._names, set()
        return names


def _counts(fleet: FleetDrift) -> Counter[tuple[str, str]]:
    """Kind and path of a fact → how many nodes drift in it."""
    return Counter(
        place for changes in fleet.drifting.values() for place in {(change.kind, change.path) for change in changes}
    )
