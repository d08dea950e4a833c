"""What SIGTERM and Ctrl-C do to a verb that runs until it is stopped."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_MOST_BYTES: Final = 64


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """In the block, call ``stop`` when one comes, in a thread of its own.

    Python runs a handler in the main thread alone. One that goes to sleep on a lock at that very moment is not woken,
    and one that holds the lock which ``stop`` needs would wait for itself. So the C part of the handler writes the
    signal's number into a pipe, which a thread reads.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(target=_wait, args=(reading, stop), name="stop-signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writing)
        thread.join()
        os.close(reading)


def _wait(reading: int, stop: Callable[[], object]) -> None:
    while numbers := os.read(reading, _MOST_BYTES):
        if not {*_SIGNALS}.isdisjoint(numbers):
            stop()
