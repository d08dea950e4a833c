"""The newest health of the shadows, for those who wait for it."""

import threading
from typing import NamedTuple

from nvtopo.dra.messages import DeviceHealth


class Seen(NamedTuple):
    """A state of the board."""

    number: int
    """Counts changes and calls of ``wake``."""
    devices: tuple[DeviceHealth, ...] | None
    """None as long as nothing is known."""


class HealthBoard:
    """Usable from several threads at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen = Seen(0, None)

    @property
    def now(self) -> Seen:
        """The newest state."""
        return self._seen

    def put(self, devices: tuple[DeviceHealth, ...] | None) -> None:
        """From now on; None: nothing is known any more."""
        with self._changed:
            if devices != self._seen.devices:
                self._next(devices)

    def wake(self) -> None:
        """Let everyone look who waits, or is about to, though nothing changed."""
        with self._changed:
            self._next(self._seen.devices)

    def _next(self, devices: tuple[DeviceHealth, ...] | None) -> None:
        self._seen = Seen(self._seen.number + 1, devices)
        self._changed.notify_all()

    def after(self, number: int, seconds: float) -> Seen:
        """Once it is another state than this, or after ``seconds``."""
        with self._changed:
            if self._seen.number == number:
                self._changed.wait(seconds)
            return self._seen
