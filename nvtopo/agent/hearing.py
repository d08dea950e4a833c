"""NVML's events in the agent: counted for the metrics page, logged, and a reason to read again."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from nvtopo.model.node import NodeTopology
from nvtopo.model.nvml_events import XIDS, NvmlEvent
from nvtopo.sinks.metrics import xids as xid_metrics
from nvtopo.sinks.metrics.series import Family
from nvtopo.sources.nvml_events import NvmlEvents, Pace

logger = logging.getLogger(__name__)

Heard = Callable[[NvmlEvent], None]


class Hearing:
    """What the driver told since the agent started. Only the thread that listens writes here."""

    def __init__(self, library: str, deadline_seconds: float) -> None:
        self.events = NvmlEvents(library, self._take, Pace(start=deadline_seconds), opened=self._opened)
        self._heard: list[Heard] = []
        self._wake: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._xids: Counter[xid_metrics.Key] = Counter()
        self._others: Counter[xid_metrics.Key] = Counter()
        self._gpus: frozenset[str] | None = None

    def tell(self, heard: Heard) -> None:
        """Call this for each event, from the thread that listens."""
        self._heard.append(heard)

    def wake(self, ring: Callable[[], None]) -> None:
        """Call this whenever the machine may be another: at each event, and when it begins to listen."""
        self._wake.append(ring)

    def part(self) -> Iterator[Family]:
        """The part of the metrics page."""
        with self._lock:
            xids, others = self._xids.copy(), self._others.copy()
        return xid_metrics.families(xids, others, self.events.listening)

    def expect(self, node: NodeTopology) -> None:
        """These GPUs answer now. Handles do not outlive a reset: where others did before, all are opened anew."""
        gpus = frozenset(gpu.uuid for gpu in node.gpus)
        if self._gpus is not None and gpus - self._gpus:
            self.events.renew()
        self._gpus = gpus

    def _take(self, event: NvmlEvent) -> None:
        key = xid_metrics.series_of(event)
        with self._lock:
            (self._others if event.xid is None else self._xids)[key] += 1
        words = {"xid": event.xid, "means": XIDS.get(event.xid, "not known")} if event.xid is not None else {}
        logger.warning("NVML event", extra={"kind": event.kind, "gpu": event.gpu, "uuid": event.uuid, **words})
        for heard in self._heard:
            heard(event)
        self._opened()

    def _opened(self) -> None:
        for ring in self._wake:
            ring()
