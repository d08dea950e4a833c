"""A wakeup for a loop: set from any thread or signal handler, where ``threading.Event`` may deadlock."""

import contextlib
import os
import select


class Wakeup:
    """An eventfd. Setting it several times before it is read counts as once."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """For ``select``: readable while it is set."""
        return self._descriptor

    def set(self) -> None:
        """Wake the waiter, now or at its next wait."""
        with contextlib.suppress(BlockingIOError):  # set 2^64 times
            os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Wait again until the next ``set``."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)


def first_of(*wakeups: Wakeup, seconds: float) -> tuple[Wakeup, ...]:
    """Wait until one is set; return those that are, or none after ``seconds``."""
    return tuple(select.select(wakeups, (), (), max(0.0, seconds))[0])
