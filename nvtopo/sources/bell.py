"""What wakes the loop: rung from any thread and from signal handlers, where a ``threading.Event`` may deadlock."""

import contextlib
import os
import select


class Bell:
    """An eventfd. However often it is rung before somebody looks, it has rung once."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """For ``select``: readable once it has rung."""
        return self._descriptor

    def ring(self) -> None:
        """Wake who waits, now or later."""
        with contextlib.suppress(BlockingIOError):  # rung 2^64 times
            os.eventfd_write(self._descriptor, 1)

    def silence(self) -> None:
        """What rang so far is dealt with."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)


def first_of(*bells: Bell, seconds: float) -> tuple[Bell, ...]:
    """Those that have rung, as soon as one has; none after ``seconds``."""
    return tuple(select.select(bells, (), (), max(0.0, seconds))[0])
