"""When an object at the API server has to be written: on change, and the same again now and then.

Where the object is as it should be, the API server stores nothing; where somebody deleted or edited it, it is back.
"""

from collections.abc import Callable
from typing import Final

REFRESH_SECONDS: Final = 600.0


class Refresh:
    """What was last written, and when it is due again."""

    def __init__(self, clock: Callable[[], float], draw: Callable[[], float], seconds: float = REFRESH_SECONDS) -> None:
        """``draw`` spreads the refreshes of many nodes, with numbers from [0, 1)."""
        self._clock = clock
        self._draw = draw
        self._seconds = seconds
        self._written: object = None
        self._due = 0.0

    def called_for(self, content: object) -> bool:
        """Whether ``content`` is not what was last written, or that was long ago."""
        return content != self._written or self._clock() >= self._due

    def written(self, content: object) -> None:
        """``content`` was taken."""
        self._written = content
        self._due = self._clock() + self._seconds * (0.75 + self._draw() / 2)
