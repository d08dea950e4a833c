"""``Holdings``: which GPUs pods hold, as the NodeAllocations say. Its thread follows them; the desk asks it."""

import threading
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from nvtopo.aggregator.fleets import Use
from nvtopo.kube.allocations import AllocationEvent
from nvtopo.kube.following import fold
from nvtopo.model.records.allocation import Allocation

_NOTHING_TOLD: Final = Use(told=frozenset())


class AllocationSource(Protocol):
    """What is needed of ``kube.allocations.Allocations``."""

    def events(self, stop: threading.Event) -> Iterator[AllocationEvent]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


class Holdings:
    """Follows the allocations while ``run`` runs; before the first list nothing is told of any node."""

    def __init__(self, source: AllocationSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._nodes: dict[str, Allocation] = {}
        self._use: Use | None = _NOTHING_TOLD

    def use(self) -> Use:
        """The GPUs that pods hold now; the same object as long as nothing changes. From any thread."""
        with self._lock:
            if self._use is None:
                self._use = used(self._nodes)
            return self._use

    def of(self, node: str) -> Allocation | None:
        """Who holds which devices of a node; None if it has no NodeAllocation. From any thread."""
        with self._lock:
            return self._nodes.get(node)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        for event in self._source.events(stop):
            self._take(event)
            if stop.is_set():
                return

    def _take(self, event: AllocationEvent) -> None:
        with self._lock:
            if fold(self._nodes, event):
                self._use = None


def used(nodes: Mapping[str, Allocation]) -> Use:
    """What these allocations say together."""
    gpus = {name: allocation.gpus for name, allocation in nodes.items()}
    known = {name: found for name, found in gpus.items() if found is not None}
    return Use({name: found for name, found in known.items() if found}, frozenset(known))
