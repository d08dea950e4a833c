"""The loop: fold the store's events, build the graph, publish it.

One graph is published for each burst of events: the first change at once, those that follow together, as often as
``pause_seconds`` allows. A published graph is immutable and replaced by one assignment, so readers need no lock.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from nvtopo.aggregator.backlog import Backlog
from nvtopo.aggregator.node_guard import NodeGuard
from nvtopo.aggregator.spans import Spans, Timeline
from nvtopo.aggregator.trail import Trail
from nvtopo.cluster.accepted import Acceptance
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.inventory import (
    Accepted,
    Drifted,
    Event,
    Inventory,
    Listed,
    Recorded,
    Silent,
    TiersReported,
    fold_all,
)
from nvtopo.kube.timestamps import rfc3339
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.guard import Failed

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.005


class EventSource(Protocol):
    """What the loop needs of a ``TopologyStore``."""

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Statistics of the loop."""

    events: int = 0
    """Events folded, after those of one node were merged."""
    bursts: int = 0
    """Number of bursts folded."""
    build_seconds: float = 0.0
    """How long the latest build took."""
    lag_seconds: float = 0.0
    """From the first event of the latest burst to the graph that holds it."""


class Aggregator:
    """The cluster's graph, kept up to date with a store while ``run`` runs."""

    def __init__(  # noqa: PLR0913 - clocks and limits, each with a default
        self,
        source: EventSource,
        *,
        first_generation: int = 0,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        settle: Callable[[], None] = lambda: None,
        trail: Trail | None = None,
        spans: Spans | None = None,
    ) -> None:
        """``first_generation`` tells one life of the process from the next: clients compare generations.

        ``settle`` is called whenever as many nodes have changed as there are, so most of the graph is new.
        """
        self._source = source
        self._pause = pause_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._settle = settle
        self._unsettled = 0
        self._backlog = Backlog(clock)
        self._inventory = Inventory(generation=first_generation)
        self._published = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self._failure: BaseException | None = None
        self.guard = NodeGuard(self._backlog.put)
        """Every stage that computes something of a node passes it."""
        self.trail = trail or Trail()
        """What changed on each node, as this process saw it and the API server keeps it."""
        self.spans = spans or Spans()
        """Who is told when each stage of a change was reached."""
        self.figures = Figures()
        self.graph: ClusterGraph | None = None
        """The latest graph; None before the first list, because unknown is not empty."""

    def run(self, stop: threading.Event) -> None:
        """Follow the store until ``stop`` is set. The store handles its own failures; a bug ends the loop."""
        backlog = self._backlog
        reader = threading.Thread(target=self._read, args=(backlog, stop), name="aggregator-events", daemon=True)
        reader.start()
        try:
            while backlog.wait():
                self._fold(*backlog.take())
                stop.wait(self._pause)
        finally:
            stop.set()
            reader.join()
        if self._failure is not None:
            raise self._failure

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest event that the graph does not show has waited."""
        return self._backlog.oldest_seconds

    def coming(self, nodes: Mapping[str, NodeTopology]) -> None:
        """Nodes of the first list, page by page: each is concluded while the next page comes. From the reading thread.

        Of a later list most are as they were, so nothing is done then.
        """
        if self.graph is None:
            self.guard.prepare(nodes)

    def silence(self, nodes: Mapping[str, str | None]) -> None:
        """These nodes, and no others, are stale: name → when it was last heard. From any thread."""
        self._backlog.put(Silent(nodes))

    def accepted(self, nodes: Mapping[str, Acceptance]) -> None:
        """This, and nothing else, is what operators accepted. From any thread."""
        self._backlog.put(Accepted(nodes))

    def drifted(self, findings: frozenset[NodeFinding]) -> None:
        """This, and nothing else, differs from what is expected. From any thread."""
        self._backlog.put(Drifted(findings))

    def tell(self, source: str, readings: Mapping[str, Reading]) -> None:
        """What a source beside the nodes says now, instead of all that it said before. From any thread."""
        self._backlog.put(TiersReported(source, readings))

    def wait(self, newer_than: int, timeout: float | None = None) -> ClusterGraph | None:
        """The first graph seen of a generation above ``newer_than``; None if there was none in time."""
        with self._published:
            self._published.wait_for(lambda: self.graph is not None and self.graph.generation > newer_than, timeout)
            return self.graph if self.graph is not None and self.graph.generation > newer_than else None

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener``, from the loop's thread, whenever a graph is published; the returned function ends that."""
        with self._published:
            self._listeners.append(listener)

        def end() -> None:
            with self._published:
                self._listeners.remove(listener)

        return end

    def _read(self, backlog: Backlog, stop: threading.Event) -> None:
        """The reader's thread: it never builds, so the store is never kept waiting."""
        try:
            for event in self._source.events(stop):
                self._remember(event)
                backlog.put(event)
                if stop.is_set():
                    break
            stop.wait()
        except BaseException as error:  # noqa: BLE001 - raised again by the loop's own thread
            self._failure = error
        finally:
            backlog.close()

    def _remember(self, event: Event) -> None:
        if isinstance(event, Listed):
            self.trail.remember(event.histories)
        elif isinstance(event, Recorded):
            self.trail.remember({event.name: event.history})

    def _fold(self, events: list[Event], age: float) -> None:
        began, taken = self._clock(), self._wall_clock()
        listed = self.graph is not None or any(isinstance(event, Listed) for event in events)
        inventory = fold_all(self._inventory, events)
        folded = self._wall_clock()
        changed = inventory is not self._inventory
        self._inventory = inventory
        if listed and (changed or self.graph is None):
            built = self.guard.build(inventory, self.graph, rfc3339(self._wall_clock()))
            if isinstance(built, Failed):  # what was taken counts as waiting until a graph shows it
                return
            inventory, graph = built
            self._inventory = inventory.recorded(graph.records)
            self.guard.prepared()
            built_at = self._wall_clock()
            self.spans.begin(graph.generation, taken - age)
            self._publish(graph)
            times = Timeline(taken - age, taken, folded, built_at, self._wall_clock())
            self.spans.published(graph.generation, times, events=len(events), nodes=len(graph.delta.nodes))
        if listed:
            self._backlog.folded()
        took = self._clock() - began
        before = self.figures
        self.figures = Figures(before.events + len(events), before.bursts + 1, took, age + took)

    def _publish(self, graph: ClusterGraph) -> None:
        with self._published:
            self.graph = graph
            self._published.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
        _log_change(graph)
        self._unsettled += len(graph.delta.nodes)
        if self._unsettled >= max(1, len(graph.nodes)):
            self._unsettled = 0
            self._settle()


def _log_change(graph: ClusterGraph) -> None:
    """Domains that came or went, and findings that are new or settled: a quiet cluster logs nothing."""
    for finding in sorted(graph.delta.appeared):
        logger.warning("finding", extra={"kind": finding.kind, "nodes": finding.nodes, "reason": finding.reason})
    for finding in sorted(graph.delta.settled):
        logger.info("finding is gone", extra={"kind": finding.kind, "nodes": finding.nodes})
    if graph.delta.domains:
        logger.info("graph", extra={"nodes": len(graph.nodes), "domains": len(graph.domains)})
