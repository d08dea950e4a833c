"""The thread that sends the aggregator's Events, while this replica leads."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Final

from nvtopo.errors import ApiError
from nvtopo.kube.client import Client
from nvtopo.kube.event_door import EventDoor
from nvtopo.kube.event_queue import Limits
from nvtopo.kube.events import AGGREGATOR, Reporter
from nvtopo.kube.refusal import Throttled
from nvtopo.model.changes.node_events import NodeEvent
from nvtopo.runtime.backoff import Backoff
from nvtopo.sinks.metrics.series import Family, declared, gauge, one

logger = logging.getLogger(__name__)

#: A rollout that changes every node is one cause: it may not cost the API server ten thousand Events at once.
LIMITS: Final = Limits(waiting=1024, series=2048, burst=50, refill_seconds=1.0)
_TICK_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 300.0

WAITING = gauge(
    "nvtopo_aggregator_events_waiting",
    "Number of Kubernetes Events of drift that are not sent yet.",
    source="the queue of Events",
    absent="the aggregator runs without an API server (`nvtopo standalone`), or with `--no-events`",
)
SERIES = declared(globals())


class EventWriter:
    """``note`` is called from any thread. Who does not lead tells nothing: the replica that leads saw the same."""

    def __init__(
        self, client: Client, identity: str, term: Callable[[], int | None], *, limits: Limits = LIMITS
    ) -> None:
        """``term`` is the term of leadership; None for who does not lead.

        An Event names its Node as the kubelet's do, by the name in the place of the uid: `kubectl describe node` looks
        for both, and the right to read Nodes one by one is not needed.
        """
        self._term = term
        self._door = EventDoor(client, Reporter(identity, AGGREGATOR), lambda node: node, limits=limits)
        self._noted = threading.Event()
        self._backoff = Backoff(longest_seconds=_LONGEST_PAUSE_SECONDS)
        self._reason = ""

    @property
    def waiting(self) -> int:
        """How many are not sent yet."""
        return self._door.waiting

    def note(self, node: str, event: NodeEvent) -> None:
        """Queue an Event about this Node."""
        if self._leads():
            self._door.note(node, event)
            self._noted.set()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set; what still waits then is not told."""
        while not stop.is_set():
            self._noted.wait(_TICK_SECONDS)
            self._noted.clear()
            stop.wait(self.step())

    def step(self) -> float:
        """Send what is due; how long to wait before the next try."""
        if not self._leads():
            self._door.clear()
            return 0.0
        try:
            self._door.send(self._leads)
        except ApiError as error:
            self._say(str(error))
            return self._backoff.delay(error.retry_after if isinstance(error, Throttled) else 0.0)
        self._backoff.reset()
        self._say("")
        return 0.0

    def families(self) -> Iterator[Family]:
        """The metric families of the Events that wait now."""
        yield one(WAITING, self.waiting)

    def _leads(self) -> bool:
        return self._term() is not None

    def _say(self, reason: str) -> None:
        """Transitions only."""
        if reason and reason != self._reason:
            logger.warning("cannot send Events, trying on", extra={"reason": reason})
        self._reason = reason
