"""The backlog: events that have come in and are not folded yet, at most one for each node."""

import threading
from collections.abc import Callable

from nvtopo.cluster.inventory import Event, Listed


class Backlog:
    """Between the thread that reads the store and the one that builds.

    A later event of a node replaces the earlier one, and a list replaces everything, so that a flood costs memory for
    as many events as there are nodes.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._list: Listed | None = None
        self._latest: dict[str, Event] = {}
        self._since: float | None = None
        self._closed = False

    def put(self, event: Event) -> None:
        """Adds an event."""
        with self._changed:
            if self._since is None:
                self._since = self._clock()
            if isinstance(event, Listed):
                self._list = event
                self._latest.clear()
            else:
                self._latest[event.name] = event
            self._changed.notify_all()

    def close(self) -> None:
        """No more events: whoever waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self) -> bool:
        """Waits for events; False once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._since is not None)
            return not self._closed

    def take(self) -> tuple[list[Event], float]:
        """All events so far, a list first, and how many seconds ago the first of them came."""
        with self._changed:
            events = [*([] if self._list is None else [self._list]), *self._latest.values()]
            age = 0.0 if self._since is None else self._clock() - self._since
            self._list, self._latest, self._since = None, {}, None
            return events, age
