"""Follows the ResourceSlices and ResourceClaims of all drivers and namespaces: two threads around ``Devices``."""

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from nvtopo.aggregator.slice_watch import SliceSource
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.kube.following import Listed
from nvtopo.kube.resource_claims import ClaimEvent
from nvtopo.placement.devices import Claimed, Devices, Moved
from nvtopo.placement.result import Assignment

Heard = Callable[[ClaimEvent, Moved], None]
"""An event, and what it did to GPUs."""


class ClaimSource(Protocol):
    """What is needed of ``kube.resource_claims.ResourceClaims``."""

    def events(self, stop: threading.Event) -> Iterator[ClaimEvent]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


class DeviceWatch:
    """Usable from several threads at once; ``run`` follows."""

    def __init__(self, slices: SliceSource, claims: ClaimSource, graph: Callable[[], ClusterGraph | None]) -> None:
        self._slices, self._claims, self._graph = slices, claims, graph
        self._lock = threading.Lock()
        self._devices = Devices()
        self.heard: Heard | None = None
        """Who is told of each event about claims, in the thread that reads them."""
        self.offered: Callable[[], None] | None = None
        """Who is told that NVIDIA's driver publishes something else, likewise."""

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        reader = threading.Thread(target=self._read_slices, args=(stop,), name="dra-slices", daemon=True)
        reader.start()
        for event in self._claims.events(stop):
            moved = self._take(event)
            if self.heard is not None:
                self.heard(event, moved)
            if stop.is_set():
                break
        reader.join()

    def claimed(self) -> Claimed:
        """GPUs that claims hold and may get now; nothing before the first graph."""
        graph = self._graph()
        with self._lock:
            return self._devices.claimed(graph.nodes if graph is not None else {})

    def holder(self, node: str, gpu: int) -> tuple[str, str] | None:
        """The claim that holds a GPU now."""
        self.claimed()
        with self._lock:
            return self._devices.holder(node, gpu)

    def can_prepare(self, answer: Assignment) -> bool:
        """Whether our plugin runs on all of its nodes: the kubelet asks it to prepare each claim on our device."""
        with self._lock:
            return {rank.node for rank in answer.ranks} <= self._devices.plugins()

    def _take(self, event: ClaimEvent) -> Moved:
        with self._lock:
            if isinstance(event, Listed):
                self._devices.list_claims(event.objects.values())
                return Moved(taken=True, freed=True)
            namespace, _, name = event.name.partition("/")
            return self._devices.see_claim((namespace, name), event.value)

    def _read_slices(self, stop: threading.Event) -> None:
        for event in self._slices.events(stop):
            changed = True
            with self._lock:
                if isinstance(event, Listed):
                    self._devices.list_slices(event.objects)
                else:
                    changed = self._devices.see_slice(event.name, event.value)
            if changed and self.offered is not None:
                self.offered()
            if stop.is_set():
                return
