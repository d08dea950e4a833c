"""Work that is begun before its result is asked for, in a thread of its own."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Begins at once; what it raises is raised where the result is asked for, and nowhere if nobody asks."""

    def __init__(self, work: Callable[[], T]) -> None:
        """``work`` must end by itself: nothing stops it."""
        self._done: queue.SimpleQueue[tuple[T] | BaseException] = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(work,), name="ahead", daemon=True).start()

    def result(self) -> T:
        """What it made, once it has; to be asked for once."""
        found = self._done.get()
        if isinstance(found, BaseException):
            raise found
        return found[0]

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._done.put((work(),))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asks
            self._done.put(error)
