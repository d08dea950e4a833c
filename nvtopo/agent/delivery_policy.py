"""What a sink is given next, and when: a state machine without I/O, clock or thread. Moments are monotonic seconds.

``Delivery`` calls ``next``, does the action, and reports the result of a write.
"""

import math
from typing import Final, NamedTuple

from nvtopo.model.observation import Observation
from nvtopo.runtime.backoff import Backoff

_FIRST_RETRY_SECONDS: Final = 1.0
_LONGEST_RETRY_SECONDS: Final = 60.0
#: A write that takes longer counts as not delivered while it lasts.
_OVERDUE_SECONDS: Final = 10.0


class Write(NamedTuple):
    """Write this observation; then ``written``, ``failed`` or ``broken``."""

    observation: Observation


class Wait(NamedTuple):
    """Until then, or until something is offered, or until ``stop``."""

    until: float = math.inf


class Stop(NamedTuple):
    """The thread may end."""


Action = Write | Wait | Stop


class DeliveryPolicy:
    """One sink: the newest observation is written, and after a failure again with backoff."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff(_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
        self._pending: Observation | None = None
        self._writing: Observation | None = None
        self._writing_since = 0.0
        self._failures = 0
        self._retry_at = -math.inf
        self._holds_latest = False
        self._stopped = False

    def offer(self, observation: Observation) -> None:
        """Set what to write next; an observation offered before and not written yet is dropped."""
        self._pending = observation

    def stop(self) -> None:
        """Write nothing more."""
        self._stopped = True

    def next(self, now: float) -> Action:
        """The next action."""
        if self._stopped:
            return Stop()
        if self._pending is None:
            return Wait()
        if now < self._retry_at:
            return Wait(self._retry_at)
        self._writing, self._pending, self._writing_since = self._pending, None, now
        return Write(self._writing)

    def written(self) -> int:
        """The write succeeded. Return how many failed in a row before it."""
        failures, self._failures = self._failures, 0
        self._writing, self._holds_latest, self._retry_at = None, True, -math.inf
        self._backoff.reset()
        return failures

    def failed(self, now: float, retry_after: float = 0.0) -> bool:
        """The write failed; the server asked for ``retry_after`` seconds. Return whether it is the first in a row."""
        self._pending = self._pending or self._writing
        self._writing, self._holds_latest = None, False
        self._failures += 1
        self._retry_at = now + self._backoff.delay(retry_after)
        return self._failures == 1

    def broken(self) -> None:
        """The sink has a bug: nothing more is written."""
        self._writing, self._holds_latest, self._stopped = None, False, True

    def delivered(self, now: float) -> bool:
        """Whether the last write succeeded, and none has been under way for too long."""
        overdue = self._writing is not None and now >= self._writing_since + _OVERDUE_SECONDS
        return self._holds_latest and not overdue
