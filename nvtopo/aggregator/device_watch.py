"""Follows the ResourceClaims of all namespaces: a thread around ``Devices``, which reads the followed slices."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from nvtopo.aggregator.followed_slices import FollowedSlices
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.slice_index import Whose
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

    def __init__(self, slices: FollowedSlices, claims: ClaimSource, graph: Callable[[], ClusterGraph | None]) -> None:
        self._slices, self._claims, self._graph = slices, claims, graph
        self._lock = threading.Lock()
        with slices.reading() as index:
            self._devices = Devices(index)
        self.heard: Heard | None = None
        """Who is told of each event about claims, in the thread that reads them."""
        self.offered: Callable[[], None] | None = None
        """Who is told that NVIDIA's driver publishes something else, in the thread that reads slices."""
        slices.listen(self._moved)

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        for event in self._claims.events(stop):
            moved = self._take(event)
            if self.heard is not None:
                self.heard(event, moved)
            if stop.is_set():
                return

    def claimed(self) -> Claimed:
        """GPUs that claims hold and may get now; nothing before the first graph."""
        graph = self._graph()
        with self._reading() as devices:
            return devices.claimed(graph.nodes if graph is not None else {})

    def holder(self, node: str, gpu: int) -> tuple[str, str] | None:
        """The claim that holds a GPU now."""
        self.claimed()
        with self._reading() as devices:
            return devices.holder(node, gpu)

    def can_prepare(self, answer: Assignment) -> bool:
        """Whether our plugin runs on all of its nodes: the kubelet asks it to prepare each claim on our device."""
        with self._reading() as devices:
            return all(map(devices.has_plugin, {rank.node for rank in answer.ranks}))

    def _take(self, event: ClaimEvent) -> Moved:
        with self._reading() as devices:
            if isinstance(event, Listed):
                devices.list_claims(event.objects.values())
                return Moved(taken=True, freed=True)
            namespace, _, name = event.name.partition("/")
            return devices.see_claim((namespace, name), event.value)

    def _moved(self, changed: frozenset[Whose]) -> None:
        with self._reading() as devices:
            other = devices.see_slices(changed)
        if other and self.offered is not None:
            self.offered()

    @contextmanager
    def _reading(self) -> Iterator[Devices]:
        """Slices and claims, as they stay meanwhile."""
        with self._lock, self._slices.reading():
            yield self._devices
