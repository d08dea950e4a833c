"""A process that gets a tenth of a CPU: stopped nine tenths of the time, as a cgroup's quota stops it."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Final

_RUNS_SECONDS: Final = 0.01
_STOPS_SECONDS: Final = 0.09


@contextlib.contextmanager
def throttled(group: int) -> Iterator[None]:
    """The processes of this group, while the block lasts."""
    over = threading.Event()
    thread = threading.Thread(target=_throttle, args=(group, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _throttle(group: int, over: threading.Event) -> None:
    with contextlib.suppress(ProcessLookupError):
        while not over.is_set():
            os.killpg(group, signal.SIGSTOP)
            over.wait(_STOPS_SECONDS)
            os.killpg(group, signal.SIGCONT)
            over.wait(_RUNS_SECONDS)
