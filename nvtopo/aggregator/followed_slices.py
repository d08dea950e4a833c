"""All ResourceSlices, followed once: whoever compares something with them reads one index, and hears what changed."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from nvtopo.cluster.slice_index import SliceIndex, Whose
from nvtopo.kube.following import Listed
from nvtopo.kube.resource_slices import SliceEvent

Heard = Callable[[frozenset[Whose]], None]
"""Whose slices are others now; in the thread that follows."""


class SliceSource(Protocol):
    """What is needed of ``kube.resource_slices.ResourceSlices``."""

    def events(self, stop: threading.Event) -> Iterator[SliceEvent]:
        """``Listed`` first, then what happens, until ``stop`` is set."""


class FollowedSlices:
    """Usable from several threads at once; ``run`` follows. Each reader's loops have it, and it runs once."""

    def __init__(self, source: SliceSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._index = SliceIndex()
        self._listed = False
        self._heard: list[Heard] = []

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        for event in self._source.events(stop):
            self.take(event)
            if stop.is_set():
                return

    def listen(self, heard: Heard) -> None:
        """Call this after each change, from now on; it may read."""
        self._heard.append(heard)

    @contextmanager
    def reading(self) -> Iterator[SliceIndex]:
        """The slices, as they stay meanwhile. Take no other lock inside."""
        with self._lock:
            yield self._index

    @property
    def listed(self) -> bool:
        """Whether they are known: an empty index may only be one that is not read yet."""
        return self._listed

    def take(self, event: SliceEvent) -> None:
        """Take in what happened to the slices."""
        with self._lock:
            if isinstance(event, Listed):
                changed = self._index.replace(event.objects)
                self._listed = True
            else:
                changed = self._index.change(event.name, event.value)
        if changed:
            self._tell(changed)

    def _tell(self, changed: frozenset[Whose]) -> None:
        for heard in self._heard:
            heard(changed)


def nodes_of(changed: Iterable[Whose]) -> set[str]:
    """The nodes of what changed."""
    return {node for _driver, node in changed if node}
