"""What readers of jobs are told of their GPUs' heat: asked for once for all, by one thread, and kept briefly."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from nvtopo.aggregator.heat_asker import HeatAnswer
from nvtopo.exporters.heat_readings import FRESH_SECONDS, Readings
from nvtopo.exporters.job_heat import Told
from nvtopo.runtime.guard import Failed, Guard

KEEP_SECONDS: Final = 5.0
"""For so long nobody asks again for the same nodes, and for twice as long as the last answer took."""
PATIENCE_SECONDS: Final = 2.0
"""So long a reader waits for the first answer. One that is told of a failure does not wait."""
MOST_JOBS: Final = 32
MOST_WAITING: Final = 16
MOST_FIGURES: Final = 100_000
"""Of all jobs together, but for the newest: two jobs of 10,000 GPUs have so many."""
_NOT_YET: Final = "Prometheus has not answered yet"
_TOO_MANY: Final = "too many jobs are asked for at once: ask again"
_NOTHING: Final[Readings] = MappingProxyType({})
Nodes = tuple[str, ...]


@dataclass(slots=True)
class _Kept:
    """Of one job's nodes."""

    readings: Readings = field(default_factory=lambda: _NOTHING)
    answered: float = 0.0
    tried: float | None = None
    again: float = 0.0
    """When it is asked for again."""
    error: str = _NOT_YET
    pending: "Future[None] | None" = None

    def told(self, now: float) -> Told:
        return Told(self.readings, now - self.answered, self.error)


class HeatWatch:
    """From any thread and any event loop; ``run`` ends its thread."""

    def __init__(
        self, ask: Callable[[Iterable[str]], HeatAnswer], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``ask`` is what Prometheus says of these nodes."""
        self._ask, self._clock = ask, clock
        self._lock = threading.Lock()
        self._kept: dict[Nodes, _Kept] = {}
        self._guard = Guard()
        self._pool = ThreadPoolExecutor(1, "heat")

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set; who waits then is not answered."""
        stop.wait()
        self._pool.shutdown(cancel_futures=True)

    async def told(self, nodes: Iterable[str]) -> Told:
        """The latest of these nodes, asked for if it is not new."""
        key = tuple(sorted(set(nodes)))
        with self._lock:
            kept, pending = self._wanted(key)
            known, waits = kept.told(self._clock()), kept.error in {"", _NOT_YET}
        if pending is None or not waits:
            return known
        await asyncio.wait([asyncio.wrap_future(pending)], timeout=PATIENCE_SECONDS)
        with self._lock:
            return kept.told(self._clock())

    def _wanted(self, key: Nodes) -> "tuple[_Kept, Future[None] | None]":
        now = self._clock()
        kept = self._kept.get(key) or _Kept()
        if kept.pending is not None or now < kept.again:
            return kept, kept.pending
        if sum(one.pending is not None for one in self._kept.values()) >= MOST_WAITING:
            return _Kept(kept.readings, kept.answered, error=_TOO_MANY), None
        self._kept.pop(key, None)
        self._drop(now)
        self._kept[key] = kept  # last: the first are dropped first
        try:
            kept.pending = self._pool.submit(self._look, key, kept)
        except RuntimeError:  # the process ends
            return kept, None
        return kept, kept.pending

    def _drop(self, now: float) -> None:
        """What is too old to be told, and the oldest of what is too much."""
        size = sum(map(_size, self._kept.values()))
        for key, kept in [*self._kept.items()]:
            old = kept.tried is not None and now - kept.tried > FRESH_SECONDS
            if kept.pending is None and (old or len(self._kept) >= MOST_JOBS or size > MOST_FIGURES):
                size -= _size(kept)
                del self._kept[key]

    def _look(self, key: Nodes, kept: _Kept) -> None:
        began = self._clock()
        found = self._guard.call("prometheus", "heat", lambda: self._ask(key))
        answer = HeatAnswer({}, f"Prometheus: {found.reason}") if isinstance(found, Failed) else found
        with self._lock:
            kept.tried, kept.error, kept.pending = (now := self._clock()), answer.error, None
            kept.again = now + max(KEEP_SECONDS, 2 * (now - began))
            if answer.readings or not answer.error:  # else what was told before gets old
                kept.readings, kept.answered = answer.readings, began


def _size(kept: _Kept) -> int:
    return sum(map(len, kept.readings.values()))
