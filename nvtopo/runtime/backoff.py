"""How long to wait before the next attempt: longer after each failure, and with jitter.

Ten thousand agents that lost the same API server must not come back in the same second.
"""

import random
from collections.abc import Callable
from typing import Final

_LARGEST_EXPONENT: Final = 16


class Backoff:
    """Doubling delays with jitter: half of each is fixed, half is drawn."""

    def __init__(
        self,
        first_seconds: float = 0.25,
        longest_seconds: float = 30.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``draw`` gives numbers from [0, 1)."""
        self._first = first_seconds
        self._longest = longest_seconds
        self._draw = draw
        self._failures = 0

    def reset(self) -> None:
        """Start again with the shortest delay, after a success."""
        self._failures = 0

    def delay(self, at_least: float = 0.0) -> float:
        """Seconds to wait after one more failure; not less than the server asked for."""
        step: float = min(self._longest, self._first * 2.0 ** min(self._failures, _LARGEST_EXPONENT))
        self._failures += 1
        return at_least + step * (0.5 + self._draw() / 2)
