"""A bound on rate: so many at once, and then so many a second. It reads no clock: the caller says what time it is."""


class TokenBucket:
    """Full at first; never holds more than ``burst`` tokens."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = burst
        self._filled_at: float | None = None

    def available(self, now: float) -> int:
        """How many may be taken at once at that moment (monotonic seconds)."""
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._per_second)
        self._filled_at = now
        return int(self._tokens)

    def take(self, now: float) -> bool:
        """One token; False where there is none."""
        if self.available(now) < 1:
            return False
        self._tokens -= 1
        return True

    def seconds_until_next(self, now: float) -> float:
        """How long until there is a token; 0 where there is one."""
        return 0.0 if self.available(now) >= 1 else (1 - self._tokens) / self._per_second
