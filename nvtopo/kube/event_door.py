"""The one door through which Kubernetes Events go: agent and aggregator both send theirs here, held to a rate.

Events are queued at once and sent when the API server accepts them. What repeats becomes a series. When the queue is
full, further Events are dropped, and one Event of each node reports how many.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from nvtopo.errors import Conflict, NotFound
from nvtopo.kube import events
from nvtopo.kube.client import Client
from nvtopo.kube.event_queue import EventQueue, Limits
from nvtopo.kube.events import Occurrence, Reporter
from nvtopo.model.changes.node_events import NodeEvent


class EventDoor:
    """Sends the Events of one reporter. ``note`` is called from any thread, ``send`` from one."""

    def __init__(  # noqa: PLR0913 - who tells of what, and clocks with defaults
        self,
        client: Client,
        reporter: Reporter,
        uid_of: Callable[[str], str],
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``uid_of`` gives the uid of a Node. ``clock`` measures intervals; ``now`` dates the Events."""
        self._client = client
        self._reporter = reporter
        self._uid_of = uid_of
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._queue = EventQueue(clock(), limits)

    @property
    def waiting(self) -> int:
        """The number of Events and updates that wait to be sent."""
        with self._lock:
            return self._queue.waiting

    def note(self, node: str, node_event: NodeEvent) -> None:
        """Queue what happened to this Node."""
        with self._lock:
            self._queue.note(node, node_event, self._now())

    def clear(self) -> None:
        """Drop what waits, because somebody else tells it."""
        with self._lock:
            self._queue.clear()

    def send(self, go_on: Callable[[], bool] = lambda: True) -> None:
        """Send the Events that are due, as long as ``go_on`` says so.

        Raises:
            ApiError: sending failed; the rest waits for the next ``send``.
        """
        with self._lock:
            self._queue.note_dropped(self._now())
            found = self._queue.due(self._clock())
        for due in found:
            if not go_on():
                return
            sent = self._send(due)
            with self._lock:
                self._queue.sent(due, sent, self._clock())

    def _send(self, due: Occurrence) -> Occurrence:
        """Send one Event or update; return what the API server holds now."""
        with self._lock:
            longer = self._queue.longer(due, self._clock())
        if longer is not None and self._update(longer):
            return longer
        self._create(due)
        with self._lock:
            self._queue.created()
        return due

    def _update(self, occurrence: Occurrence) -> bool:
        """Update a series; return False if the Event was deleted or has expired."""
        try:
            self._client.request(
                "PATCH",
                events.path(events.name_of(occurrence)),
                body=events.again(occurrence),
                content_type="application/merge-patch+json",
            )
        except NotFound:
            return False
        return True

    def _create(self, occurrence: Occurrence) -> None:
        body = events.document(self._reporter, self._uid_of(occurrence.node), occurrence)
        with contextlib.suppress(Conflict):  # an earlier attempt succeeded without an answer
            self._client.create(events.COLLECTION, body)
