"""``CountedPods``: the GPUs and names of bound pods, for the desk and the page."""

import threading
from collections.abc import Mapping
from typing import Final

from nvtopo.placement.pods import Bound, GpuPod, InUse, PodEvent

MOST_NAMED: Final = 20_000
"""Bound pods whose names are kept for metrics."""


class CountedPods:
    """The GPUs of bound pods, as they are now; for a ``Desk``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_use = InUse()
        self._bound = Bound(MOST_NAMED)

    def fold(self, event: PodEvent) -> bool:
        """What happened; whether a GPU became free by it."""
        with self._lock:
            self._bound.fold(event)
            return self._in_use.fold(event)

    def bound(self) -> tuple[GpuPod, ...]:
        """The pods that are bound to nodes."""
        with self._lock:
            return self._bound.pods()

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """Node → reservation, or "" → GPUs."""
        with self._lock:
            return self._in_use.counted()
