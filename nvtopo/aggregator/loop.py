"""The loop: fold what the store says, build the graph, publish it.

One graph is published for each burst of events: the first change at once, those that follow together, as often as
``pause_seconds`` allows. A published graph is immutable and replaced by one assignment, so readers need no lock.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from nvtopo.aggregator.backlog import Backlog
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Event, Inventory, Listed, fold_all

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.2


class Source(Protocol):
    """What the loop needs of a ``TopologyStore``."""

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the loop says of itself."""

    events: int = 0
    """Events folded, after those of one node were merged."""
    bursts: int = 0
    """How often some were folded."""
    build_seconds: float = 0.0
    """How long the latest build took."""
    lag_seconds: float = 0.0
    """From the first event of the latest burst to the graph that holds it."""


class Aggregator:
    """The cluster's graph, kept true to a store while ``run`` runs."""

    def __init__(
        self,
        source: Source,
        *,
        first_generation: int = 0,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``first_generation`` tells one life of the process from the next: clients compare generations."""
        self._source = source
        self._pause = pause_seconds
        self._clock = clock
        self._inventory = Inventory(generation=first_generation)
        self._published = threading.Condition()
        self._listeners: list[Callable[[], None]] = []
        self._failure: BaseException | None = None
        self.figures = Figures()
        self.graph: ClusterGraph | None = None
        """The latest graph; None before the store has been listed once: what is not known is not empty."""

    def run(self, stop: threading.Event) -> None:
        """Follow the store until ``stop`` is set. What the store does wrong it settles itself; a bug ends the loop."""
        backlog = Backlog(self._clock)
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

    def wait(self, newer_than: int, timeout: float | None = None) -> ClusterGraph | None:
        """The first graph seen of a generation above ``newer_than``; None if there was none in time."""
        with self._published:
            self._published.wait_for(lambda: self.graph is not None and self.graph.generation > newer_than, timeout)
            return self.graph if self.graph is not None and self.graph.generation > newer_than else None

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener``, from the loop's thread, whenever a graph is published; the answer ends that."""
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
                backlog.put(event)
                if stop.is_set():
                    break
            stop.wait()
        except BaseException as error:  # noqa: BLE001 - raised again by the loop's own thread
            self._failure = error
        finally:
            backlog.close()

    def _fold(self, events: list[Event], age: float) -> None:
        began = self._clock()
        listed = self.graph is not None or any(isinstance(event, Listed) for event in events)
        inventory = fold_all(self._inventory, events)
        changed = inventory is not self._inventory
        self._inventory = inventory
        if listed and (changed or self.graph is None):
            self._publish(build(inventory, self.graph))
        took = self._clock() - began
        before = self.figures
        self.figures = Figures(before.events + len(events), before.bursts + 1, took, age + took)

    def _publish(self, graph: ClusterGraph) -> None:
        before = self.graph
        with self._published:
            self.graph = graph
            self._published.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
        _log_change(before, graph)


def _log_change(before: ClusterGraph | None, after: ClusterGraph) -> None:
    """Domains that came or went, and findings that are new or settled: a quiet cluster logs nothing."""
    known = set() if before is None else set(before.drift)
    for finding in set(after.drift) - known:
        logger.warning("does not fit", extra={"kind": finding.kind, "nodes": finding.nodes, "reason": finding.reason})
    for finding in known - set(after.drift):
        logger.info("fits again", extra={"kind": finding.kind, "nodes": finding.nodes})
    if before is None or before.domains.keys() != after.domains.keys():
        logger.info("graph", extra={"nodes": len(after.nodes), "domains": len(after.domains)})
