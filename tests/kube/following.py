"""A reader of a store's events in a thread of its own, as the aggregator runs one."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Self

from nvtopo.cluster.inventory import Event, Inventory, fold
from nvtopo.kube.store import TopologyStore


class Following:
    """Follows from entering to leaving; leaving checks that the reader ends promptly."""

    def __init__(self, store: TopologyStore) -> None:
        self._store = store
        self._stop = threading.Event()
        self._events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.inventory = Inventory()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        started = time.monotonic()
        self._stop.set()
        self._thread.join(5)
        assert time.monotonic() - started < 1, "the reader did not end promptly"

    def next(self) -> Event:
        """The next event."""
        event = self._events.get(timeout=5)
        if isinstance(event, BaseException):
            raise event
        self.inventory = fold(self.inventory, event)
        return event

    def until(self, true_of: Callable[[Inventory], bool]) -> Inventory:
        """The inventory once that is true of it."""
        while not true_of(self.inventory):
            self.next()
        return self.inventory

    @property
    def silent(self) -> bool:
        """Whether no event waits."""
        return self._events.empty()

    def _run(self) -> None:
        try:
            for event in self._store.events(self._stop):
                self._events.put(event)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self._events.put(error)
