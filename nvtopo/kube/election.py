"""client-go's leader election as a state machine without I/O, clock or threads.

Whoever holds the Lease renews it; whoever does not takes it once its content has not changed for the Lease's duration,
by its own clock: clocks of different machines are never compared. Unlike client-go's, a replica that has not seen the
holder renew, and so may not have seen all that it saw, lets the others go first. Moments are monotonic seconds; what is
written into the Lease for people to read is the time of day.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nvtopo.kube.timestamps import micro_time
from nvtopo.model.records.record import Record

#: How much longer than its period a replica that waits for the Lease may sleep (client-go's factor).
_JITTER: Final = 1.2
#: The duration in a released Lease (client-go's value), so that others need not wait.
_RELEASED_SECONDS: Final = 1
#: A Lease that says more, or that it changed hands more often than the API server can store, is not one of ours.
_LONGEST_SECONDS: Final = 120
_MOST_TRANSITIONS: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds, client-go's by default. A single hanging request does not lose the leadership."""

    duration: int = 15
    """How long others wait for a holder that does not renew."""
    renew_deadline: float = 10.0
    """How long a holder that can't renew goes on; it ends before others begin."""
    retry: float = 2.0
    """Between two attempts."""
    request: float = 3.0
    """How long one request may take; an attempt is two of them."""


class LeaseSpec(Record, frozen=True, kw_only=True):
    """``coordination.k8s.io/v1`` LeaseSpec."""

    holder_identity: str | None = None
    """Empty if the Lease was released."""
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    """RFC 3339 with microseconds, when the holder took it."""
    renew_time: str | None = None
    lease_transitions: int | None = None
    """How often it changed hands since it was created."""


class Election:
    """One replica's part in it: what it read, whether it leads, and what it writes."""

    def __init__(self, identity: str, timing: Timing | None = None, draw: Callable[[], float] = random.random) -> None:
        """``identity`` is this replica's alone; ``draw`` gives numbers from [0, 1)."""
        self._identity = identity
        self._timing = timing or Timing()
        self._draw = draw
        self._seen: LeaseSpec | None = None
        self._seen_at = 0.0
        self._followed = False
        self._held = False
        self._renewed_at = 0.0
        self._term = 0

    @property
    def transitions(self) -> int | None:
        """What the Lease says of it; None where it has not been read, or there is none."""
        return None if self._seen is None else self._seen.lease_transitions

    def term(self, now: float) -> int | None:
        """Which of its terms this replica leads in, counted from 1; None where it does not lead.

        A term goes on where renewing was late and nobody else held the Lease meanwhile.
        """
        return self._term if self._held and now - self._renewed_at < self._timing.renew_deadline else None

    def read(self, spec: LeaseSpec | None, now: float) -> None:
        """What the Lease says, None where there is none; ``now`` is not before the answer came."""
        if spec != self._seen:
            self._followed = self._followed or self._seen is not None
            self._seen, self._seen_at = spec, now
        if spec is None or spec.holder_identity != self._identity:
            self._held = False

    def bid(self, now: float, time_of_day: datetime) -> LeaseSpec | None:
        """What to write to hold the Lease that was read; None where another one holds it."""
        seen = self._seen
        if seen is None:
            return self._spec(seen, time_of_day, transitions=0)
        if seen.holder_identity == self._identity:
            return self._spec(seen, time_of_day, transitions=seen.lease_transitions or 0)
        if seen.holder_identity and now < self._seen_at + self._lasts(seen) + self._later():
            return None
        return self._spec(None, time_of_day, transitions=min((seen.lease_transitions or 0) + 1, _MOST_TRANSITIONS))

    def won(self, spec: LeaseSpec, sent_at: float, now: float) -> None:
        """The API server took the bid, which was sent at ``sent_at``: from then on others wait."""
        if not self._held:
            self._term += 1
        self._renewed_at, self._held = sent_at, True
        self._seen, self._seen_at = spec, now

    def release(self, time_of_day: datetime) -> LeaseSpec | None:
        """The spec that releases the Lease; None if this replica does not hold it."""
        self._held = False
        if self._seen is None or self._seen.holder_identity != self._identity:
            return None
        moment = micro_time(time_of_day)
        return LeaseSpec(
            holder_identity="",
            lease_duration_seconds=_RELEASED_SECONDS,
            acquire_time=moment,
            renew_time=moment,
            lease_transitions=self._seen.lease_transitions,
        )

    def seconds_until_next(self) -> float:
        """How long to wait before the next attempt: who waits for the Lease does not do so in step with others."""
        return self._timing.retry * (1 if self._held else 1 + _JITTER * self._draw())

    def _lasts(self, seen: LeaseSpec) -> int:
        """How long its holder may be silent; as long as ours where it says nothing that can be."""
        seconds = seen.lease_duration_seconds or 0
        return min(seconds if seconds > 0 else self._timing.duration, _LONGEST_SECONDS)

    def _later(self) -> float:
        """How much longer a replica waits that began after the holder's last sign of life.

        What the holder saw last and did not write is known to those alone that were there; each tries twice before.
        """
        return 0.0 if self._followed else 2 * self._timing.retry * (1 + _JITTER)

    def _spec(self, mine: LeaseSpec | None, time_of_day: datetime, *, transitions: int) -> LeaseSpec:
        """``mine`` is what it says where this replica holds it already."""
        moment = micro_time(time_of_day)
        return LeaseSpec(
            holder_identity=self._identity,
            lease_duration_seconds=self._timing.duration,
            acquire_time=(mine and mine.acquire_time) or moment,
            renew_time=moment,
            lease_transitions=transitions,
        )
