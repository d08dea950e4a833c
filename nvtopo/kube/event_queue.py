"""Which Kubernetes Events wait, which may be sent now, and which continue a series. A state machine without I/O.

The caller passes the time: ``clock`` in seconds for intervals, dates for the Events' own fields.
"""

from collections import Counter, OrderedDict
from datetime import datetime
from typing import Final, NamedTuple

from nvtopo.kube.events import Occurrence
from nvtopo.model.changes.node_events import DROPPED, NodeEvent

#: How long a series is remembered after it was last brought up to date. An API server keeps an Event for an hour.
SERIES_SECONDS: Final = 600.0
#: Between two updates of one series.
AGAIN_SECONDS: Final = 30.0


class Limits(NamedTuple):
    """How much is kept and sent. The defaults are those of one node."""

    waiting: int = 64
    """Different Events that may wait."""
    series: int = 256
    """Series that are remembered."""
    burst: int = 25
    """New Events that may be sent at once."""
    refill_seconds: float = 12.0
    """Between new Events after a burst."""


class _About(NamedTuple):
    node: str
    event: NodeEvent


class _Series(NamedTuple):
    """An Event that the API server has."""

    occurrence: Occurrence
    sent_at: float


class EventQueue:
    """The waiting Events, and the series that were sent."""

    def __init__(self, clock: float, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._waiting: OrderedDict[_About, Occurrence] = OrderedDict()
        self._series: OrderedDict[_About, _Series] = OrderedDict()
        self._dropped: Counter[str] = Counter()
        self._tokens = float(self._limits.burst)
        self._refilled = clock

    @property
    def waiting(self) -> int:
        """The number of Events and updates that wait, dropped ones included."""
        return len(self._waiting) + self._dropped.total()

    def note(self, node: str, event: NodeEvent, date: datetime) -> None:
        """Add an event, or count it once more. If the queue is full, count it as dropped."""
        about = _About(node, event)
        known = self._waiting.get(about)
        if known is not None:
            self._waiting[about] = known._replace(last=date, times=known.times + 1)
        elif len(self._waiting) < self._limits.waiting:
            self._waiting[about] = Occurrence(node, event, date, date)
        elif node in self._dropped or len(self._dropped) < self._limits.waiting:
            self._dropped[node] += 1

    def note_dropped(self, date: datetime) -> None:
        """Add an Event about the dropped ones of each node, as far as there is room."""
        while self._dropped and len(self._waiting) < self._limits.waiting:
            node, count = self._dropped.popitem()
            what = f"{count} more happened and can't be listed: the API server did not accept them in time"
            self.note(node, NodeEvent(type="Warning", reason=DROPPED, note=what), date)

    def clear(self) -> None:
        """Forget what waits: somebody else tells it."""
        self._waiting.clear()
        self._dropped.clear()

    def due(self, clock: float) -> list[Occurrence]:
        """The Events that may be sent now: new ones while there are tokens, series at their interval."""
        filled = self._tokens + (clock - self._refilled) / self._limits.refill_seconds
        self._tokens = min(float(self._limits.burst), filled)
        self._refilled = clock
        due, tokens = [], self._tokens
        for waiting in self._waiting.values():
            series = self._live(_about(waiting), clock)
            if series is None:
                tokens -= 1
            if tokens >= 0 if series is None else clock >= series.sent_at + AGAIN_SECONDS:
                due.append(waiting)
        return due

    def longer(self, due: Occurrence, clock: float) -> Occurrence | None:
        """The updated series that ``due`` continues; None if it is a new Event."""
        series = self._live(_about(due), clock)
        if series is None:
            return None
        before = series.occurrence
        return before._replace(last=due.last, times=before.times + due.times)

    def created(self) -> None:
        """A new Event was sent, which takes a token."""
        self._tokens -= 1

    def sent(self, due: Occurrence, sent: Occurrence, clock: float) -> None:
        """The API server accepted ``sent`` for ``due``; occurrences since then keep waiting."""
        about = _about(due)
        self._series[about] = _Series(sent, clock)
        self._series.move_to_end(about)
        while len(self._series) > self._limits.series:
            self._series.popitem(last=False)
        now = self._waiting.pop(about, None)
        if now is not None and now.times > due.times:
            self._waiting[about] = now._replace(first=now.last, times=now.times - due.times)

    def _live(self, about: _About, clock: float) -> _Series | None:
        series = self._series.get(about)
        return series if series is not None and clock < series.sent_at + SERIES_SECONDS else None


def _about(occurrence: Occurrence) -> _About:
    return _About(occurrence.node, occurrence.node_event)
