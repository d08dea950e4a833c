"""The slots of a server's connections, for several threads."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from nvtopo.runtime.connection_slots import ConnectionSlots, Drop, Limits, Reason
from nvtopo.runtime.visit import Visit


class Seats:
    """The slots, for several threads. A connection that is dropped is ended before another thread can close it."""

    def __init__(self, limits: Limits) -> None:
        self._slots: ConnectionSlots[Visit] = ConnectionSlots(limits)
        self._deciding = threading.Lock()
        self.on_drop: Callable[[], None] = lambda: None
        """Called after connections were dropped: whoever works for them may stop."""

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, visit: object) -> bool:
        return visit in self._slots

    @property
    def dropped(self) -> Counter[Reason]:
        """Connections that were dropped so far."""
        with self._deciding:
            return self._slots.dropped.copy()

    def enter(self, visit: Visit, client: str) -> None:
        """A new connection."""
        self._decide(lambda now: self._slots.enter(visit, client, now))

    def asks(self, visit: Visit) -> None:
        """The head of a request is complete."""
        self._decide(lambda now: self._slots.asks(visit, now))

    def probes(self, visit: Visit) -> None:
        """The head of a request is complete whose answer is short and ready."""
        self._decide(lambda now: self._slots.probes(visit, now))

    def answered(self, visit: Visit) -> None:
        """Its answer is written."""
        self._decide(lambda now: self._slots.answered(visit, now))

    def vouch(self, visit: Visit) -> None:
        """The request's token is known and good."""
        self._decide(lambda _: self._slots.vouch(visit))

    def stream(self, visit: Visit) -> bool:
        """The answer has no end; False if there is no slot for it."""
        granted = []

        def ask(now: float) -> list[Drop[Visit]] | None:
            drops = self._slots.stream(visit, now)
            granted.append(drops is not None)
            return drops

        self._decide(ask)
        return granted == [True]

    def stalled(self, visit: Visit) -> None:
        """Bytes wait because the client does not read them."""
        self._decide(lambda now: self._slots.stalled(visit, now))

    def flowing(self, visit: Visit) -> None:
        """The client takes bytes again."""
        self._decide(lambda _: self._slots.flowing(visit))

    def leave(self, visit: Visit) -> None:
        """It is about to be closed."""
        self._decide(lambda _: self._slots.leave(visit))

    def sweep(self) -> None:
        """Drop those whose time is up."""
        self._decide(self._slots.overdue)

    def _decide(self, act: Callable[[float], list[Drop[Visit]] | None]) -> None:
        with self._deciding:
            drops = act(time.monotonic())
            for drop in drops or ():
                drop.key.drop()
        if drops:
            self.on_drop()
