"""Kubernetes Events on the Node for what changed: told once, and as a series where it happens again and again.

What happens is noted at once and sent when the API server takes it. A link that flaps is one Event for its fall and one
for its rise, each with a count that is brought up to date now and then; a machine in turmoil is held to a rate. What
waits in vain until there is no more room is dropped, and an Event says how much that was.
"""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from nvtopo.errors import Conflict, NotFound, ParseError
from nvtopo.kube import events
from nvtopo.kube.client import Client
from nvtopo.kube.events import Occurrence
from nvtopo.kube.v1alpha1 import Head
from nvtopo.model.happenings import Happening, of_changes, of_nvml
from nvtopo.model.node import NodeTopology
from nvtopo.model.nvlink import unanswered
from nvtopo.model.nvml_events import NvmlEvent

#: Different things that may wait to be told.
_MOST_WAITING: Final = 64
#: Series that are remembered, and for how long after they were last brought up to date. An API server keeps an Event
#: for an hour.
_MOST_SERIES: Final = 256
_SERIES_SECONDS: Final = 600.0
#: Between two updates of one series.
_AGAIN_SECONDS: Final = 30.0
#: New Events: so many at once, and then one in so many seconds.
_BURST: Final = 25
_REFILL_SECONDS: Final = 12.0


class _Series(NamedTuple):
    """An Event that the API server has."""

    occurrence: Occurrence
    sent_at: float


class EventSink:
    """Tells of one node. ``see``, ``hear`` and ``write`` have a thread each."""

    name = "events"

    def __init__(
        self,
        client: Client,
        node: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``clock`` spaces what is sent; ``now`` is what Events are dated with."""
        self._client = client
        self._node = node
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Happening, Occurrence] = OrderedDict()
        self._series: OrderedDict[Happening, _Series] = OrderedDict()
        self._answered: NodeTopology | None = None
        self._dropped = 0
        self._tokens = float(_BURST)
        self._refilled = clock()

    @property
    def waiting(self) -> int:
        """How many Events, or updates of one, are not told yet."""
        with self._lock:
            return len(self._waiting) + self._dropped

    def see(self, before: NodeTopology, after: NodeTopology) -> None:
        """Two readings, one after the other."""
        if not unanswered(before):
            self._answered = before
        for happening in of_changes(before, after, self._answered):
            self._note(happening)

    def hear(self, event: NvmlEvent) -> None:
        """An event of the driver."""
        self._note(of_nvml(event))

    def write(self, topology: NodeTopology) -> None:
        """Send what is due.

        Raises:
            ApiError: what is left waits for the next ``write``.
        """
        del topology
        self._tell_dropped()
        for told in self._due():
            self._send(told)
            with self._lock:
                now = self._waiting.pop(told.happening)
                if now.times > told.times:  # it happened again meanwhile
                    self._waiting[told.happening] = now._replace(first=now.last, times=now.times - told.times)

    def _note(self, happening: Happening) -> None:
        now = self._now()
        with self._lock:
            known = self._waiting.get(happening)
            if known is not None:
                self._waiting[happening] = known._replace(last=now, times=known.times + 1)
            elif len(self._waiting) < _MOST_WAITING:
                self._waiting[happening] = Occurrence(happening, now, now)
            else:
                self._dropped += 1

    def _tell_dropped(self) -> None:
        with self._lock:
            if not self._dropped or len(self._waiting) >= _MOST_WAITING:
                return
            dropped, self._dropped = self._dropped, 0
        what = f"{dropped} more happened and can't be told one by one: the API server did not take them in time"
        self._note(Happening(type="Warning", reason="EventsDropped", note=what))

    def _due(self) -> list[Occurrence]:
        """What may be sent now: news as long as there are tokens, what goes on only so often."""
        now = self._clock()
        with self._lock:
            self._tokens = min(float(_BURST), self._tokens + (now - self._refilled) / _REFILL_SECONDS)
            self._refilled = now
            due, tokens = [], self._tokens
            for waiting in self._waiting.values():
                series = self._live(waiting.happening, now)
                if series is None:
                    tokens -= 1
                if tokens >= 0 if series is None else now >= series.sent_at + _AGAIN_SECONDS:
                    due.append(waiting)
        return due

    def _live(self, happening: Happening, now: float) -> _Series | None:
        series = self._series.get(happening)
        return series if series is not None and now < series.sent_at + _SERIES_SECONDS else None

    def _send(self, waiting: Occurrence) -> None:
        series = self._live(waiting.happening, self._clock())
        if series is not None:
            before = series.occurrence
            longer = before._replace(last=waiting.last, times=before.times + waiting.times)
            if self._update(longer):
                self._remember(longer)
                return
        self._create(waiting)
        self._remember(waiting)

    def _update(self, occurrence: Occurrence) -> bool:
        """False where somebody deleted the Event, or its time was up."""
        name = events.name_of(self._node, occurrence)
        try:
            self._client.request(
                "PATCH",
                events.path(name),
                body=events.again(occurrence),
                content_type="application/merge-patch+json",
            )
        except NotFound:
            return False
        return True

    def _create(self, occurrence: Occurrence) -> None:
        body = events.document(self._node, self._node_uid(), occurrence)
        with contextlib.suppress(Conflict):  # the last attempt was not answered, and had worked
            self._client.create(events.COLLECTION, body)
        self._tokens -= 1

    def _remember(self, occurrence: Occurrence) -> None:
        self._series[occurrence.happening] = _Series(occurrence, self._clock())
        self._series.move_to_end(occurrence.happening)
        while len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)

    def _node_uid(self) -> str:
        """Read for every new Event, of which there are few: a Node made anew has another."""
        where = f"/api/v1/nodes/{quote(self._node, safe='')}"
        try:
            return msgspec.json.decode(self._client.get(where), type=Head).metadata.uid
        except msgspec.MsgspecError as error:
            raise ParseError(f"GET {where}: expected an object with metadata: {error}") from error
