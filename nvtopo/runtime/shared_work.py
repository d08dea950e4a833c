"""Work whose result is shared: whoever asks gets one that was begun after they asked, done once for all of them.

While others wait, the work rests after each time for as long as it took, so that it never takes more than half of a
processor, however many ask.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class GivenUp(ConnectionAbortedError):
    """Who asked is not wanted any more."""


class SharedWork(Generic[T]):
    """Usable from several threads; the work runs in that of somebody who asks."""

    def __init__(self, work: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._work = work
        self._clock = clock
        self._changed = threading.Condition()
        self._done: float | None = None
        """When the latest result was begun."""
        self._running = False
        self._waiting = 0
        self._rest_until = 0.0
        self._result: T | BaseException | None = None

    def get(self, wanted: Callable[[], bool] = lambda: True, asked_at: float | None = None) -> T:
        """A result that was begun after the call, or after it was asked for (monotonic seconds); what the work raises.

        Raises:
            GivenUp: ``wanted`` became false meanwhile; it is asked again whenever somebody calls ``look``.
        """
        since = self._clock() if asked_at is None else asked_at
        with self._changed:
            self._waiting += 1
            try:
                while not self._is_done(since) and not self._may_begin():
                    if not wanted():
                        raise GivenUp("the connection was dropped")
                    self._changed.wait(self._rest_left())
            finally:
                self._waiting -= 1
            if self._is_done(since):
                return self._shared()
            self._running = True
        return self._do()

    def look(self) -> None:
        """Let those that wait ask again whether they are wanted."""
        with self._changed:
            self._changed.notify_all()

    def _is_done(self, since: float) -> bool:
        return self._done is not None and self._done >= since

    def _may_begin(self) -> bool:
        return not self._running and self._rest_left() is None

    def _rest_left(self) -> float | None:
        left = self._rest_until - self._clock()
        return left if left > 0 else None

    def _do(self) -> T:
        began = self._clock()
        result: T | BaseException | None = None
        try:
            result = self._work()
        except BaseException as error:
            result = error
            raise
        else:
            return result
        finally:
            with self._changed:
                self._result, self._done, self._running = result, began, False
                now = self._clock()
                self._rest_until = now + (now - began) if self._waiting else now
                self._changed.notify_all()

    def _shared(self) -> T:
        if isinstance(self._result, BaseException):
            raise self._result
        assert self._result is not None
        return self._result
