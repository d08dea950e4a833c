"""NVML's events in the agent: counted for the metrics page, logged, and a reason to read again."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator

from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvml_events import XIDS, NvmlEvent
from nvtopo.sinks.metrics import xids as xid_metrics
from nvtopo.sinks.metrics.series import Family
from nvtopo.sources.nvml.events import NvmlEvents
from nvtopo.sources.nvml.events_policy import Pace
from nvtopo.sources.nvml.topology import NvmlWorker

logger = logging.getLogger(__name__)

OnEvent = Callable[[NvmlEvent], None]


class NvmlEventListener:
    """Counts the driver's events since the agent started. Only the listening thread writes to it."""

    def __init__(self, nvml: NvmlWorker) -> None:
        """``nvml`` names the driver to listen to."""
        pace = Pace(start=nvml.deadline_seconds)
        self.events = NvmlEvents(nvml.library, self._take, pace, opened=self._opened, forks=nvml.forks)
        self._subscribers: list[OnEvent] = []
        self._wake: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._xids: Counter[xid_metrics.Key] = Counter()
        self._others: Counter[xid_metrics.Key] = Counter()
        self._gpus: frozenset[str] | None = None

    def subscribe(self, on_event: OnEvent) -> None:
        """Call ``on_event`` for each event, from the listening thread."""
        self._subscribers.append(on_event)

    def wake(self, wakeup: Callable[[], None]) -> None:
        """Call ``wakeup`` whenever the machine may have changed: at each event, and when listening starts."""
        self._wake.append(wakeup)

    def part(self) -> Iterator[Family]:
        """The part of the metrics page."""
        with self._lock:
            xids, others = self._xids.copy(), self._others.copy()
        return xid_metrics.families(xids, others, self.events.listening)

    def expect(self, node: NodeTopology) -> None:
        """Compare with the GPUs that answer now; if they differ, reopen all, because a reset invalidates handles."""
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
        for on_event in self._subscribers:
            on_event(event)
        self._opened()

    def _opened(self) -> None:
        for wakeup in self._wake:
            wakeup()
