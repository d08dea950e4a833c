"""A few threads that answer what takes long. They start when they are first needed, and keep no process from ending."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Workers(Generic[T]):
    """``put`` and ``close`` are for one thread."""

    def __init__(self, most: int, work: Callable[[T], None]) -> None:
        """``work`` must not raise."""
        self._most = most
        self._work = work
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0

    def put(self, item: T) -> None:
        """Have it done, now or after others."""
        if not self._idle.acquire(blocking=False) and self._count < self._most:
            self._count += 1
            threading.Thread(target=self._run, name="answer", daemon=True).start()
        self._queue.put(item)

    def close(self) -> None:
        """Let them end, after what they are at."""
        for _ in range(self._count):
            self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self._work(item)
            if self._queue.empty():
                self._idle.release()
