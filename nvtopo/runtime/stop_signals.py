"""What SIGTERM and Ctrl-C do to a verb that runs until it is stopped."""

import _thread
import signal
from collections.abc import Callable
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def on_stop_signal(stop: Callable[[], object]) -> None:
    """Call ``stop`` when one comes, in a thread of its own.

    A signal handler interrupts the main thread anywhere, also where it holds the lock of the ``threading.Event`` that
    ``stop`` sets: it would wait for itself for ever. Starting a thread at this level takes no lock.
    """
    for number in _SIGNALS:
        signal.signal(number, lambda *_: _thread.start_new_thread(stop, ()))
