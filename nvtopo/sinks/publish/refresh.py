"""When an object in the API server must be written: after a change, and again from time to time.

If the object is unchanged, the API server stores nothing; if somebody deleted or edited it, the write restores it.
"""

from collections.abc import Callable
from typing import Final

REFRESH_SECONDS: Final = 600.0


class Refresh:
    """The content last written, and when it is due again."""

    def __init__(self, clock: Callable[[], float], draw: Callable[[], float], seconds: float = REFRESH_SECONDS) -> None:
        """``draw`` spreads the refreshes of many nodes, with numbers from [0, 1)."""
        self._clock = clock
        self._draw = draw
        self._seconds = seconds
        self._written: object = None
        self._due = 0.0

    def called_for(self, content: object) -> bool:
        """Whether ``content`` differs from the content last written, or that write was long ago."""
        return content != self._written or self._clock() >= self._due

    def written(self, content: object) -> None:
        """The API server accepted ``content``."""
        self._written = content
        self._due = self._clock() + self._seconds * (0.75 + self._draw() / 2)
