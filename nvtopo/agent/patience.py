"""Calls that may stay in the kernel: each in a thread of its own, which is waited for so long and no longer."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Hangs(Exception):
    """The call, or one before it about the same thing, has not come back."""


class Patience(Generic[T]):
    """Waits ``seconds`` for a call. What is not back then is asked nothing more until it is; threads end with us."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._out: dict[str, threading.Thread] = {}

    def call(self, subject: str, function: Callable[[], T]) -> T:
        """What the function returns or raises.

        Raises:
            Hangs: it does neither; at once where it is known not to.
        """
        before = self._out.get(subject)
        if before is not None and before.is_alive():
            raise Hangs
        done: Future[T] = Future()
        thread = threading.Thread(target=_complete, args=(done, function), name=subject, daemon=True)
        self._out[subject] = thread
        thread.start()
        thread.join(self._seconds)
        if thread.is_alive():
            raise Hangs
        del self._out[subject]
        return done.result()


def _complete(done: "Future[T]", function: Callable[[], T]) -> None:
    try:
        done.set_result(function())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
        done.set_exception(error)
