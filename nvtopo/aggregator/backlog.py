"""The backlog: events that have come in and are not folded yet, at most one for each node."""

import threading
from collections.abc import Callable

from nvtopo.cluster.events import Accepted, Drifted, Event, Listed, Recorded, Refused, Silent, TiersReported


class Backlog:
    """Between the thread that reads the store and the one that builds.

    A later event of a node replaces the earlier one, and a list replaces everything, so that a flood costs memory for
    as many events as there are nodes, and what is recorded of them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._list: Listed | None = None
        self._latest: dict[str, Event] = {}
        self._recorded: dict[str, Recorded] = {}
        self._whole: dict[type[Event], Event] = {}
        self._told: dict[str, TiersReported] = {}
        self._since: float | None = None
        self._taken_at: float | None = None
        self._closed = False

    def put(self, event: Event) -> None:
        """Add an event."""
        with self._changed:
            if self._since is None:
                self._since = self._clock()
            if isinstance(event, Listed):
                self._list = event
                self._latest.clear()
                self._recorded.clear()
            elif isinstance(event, Recorded):
                self._recorded[event.name] = event
            elif isinstance(event, Silent | Drifted | Accepted):
                self._whole[type(event)] = event
            elif isinstance(event, TiersReported):
                self._told[event.source] = event
            elif isinstance(event, Refused):  # of what is folded already: a newer event of the node comes first
                if self._list is None:
                    self._latest.setdefault(event.name, event)
            else:
                self._latest[event.name] = event
            self._changed.notify_all()

    def close(self) -> None:
        """End the stream of events and wake the waiter."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self) -> bool:
        """Waits for events; False once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._since is not None)
            return not self._closed

    def take(self) -> tuple[list[Event], float]:
        """All events so far, a list first, and how many seconds ago the first of them came.

        Who takes them calls ``folded`` once a graph shows them.
        """
        with self._changed:
            events = [*([] if self._list is None else [self._list]), *self._latest.values(), *self._recorded.values()]
            events += [*self._whole.values(), *self._told.values()]
            age = 0.0 if self._since is None else self._clock() - self._since
            if self._taken_at is None:
                self._taken_at = self._since
            self._list, self._latest, self._recorded, self._since = None, {}, {}, None
            self._whole, self._told = {}, {}
            return events, age

    def folded(self) -> None:
        """What was taken is in the graph."""
        with self._changed:
            self._taken_at = None

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest event that no graph shows has waited; 0 without one."""
        with self._changed:
            times = [at for at in (self._taken_at, self._since) if at is not None]
            return max(0.0, self._clock() - min(times)) if times else 0.0
