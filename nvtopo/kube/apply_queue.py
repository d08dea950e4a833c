"""Which of many objects is written next, and when: a state machine without I/O, clock or threads.

The newest document of an object replaces the one that waits. Writes are bounded in rate and in number under way. A
failure of the server (429, 5xx, no answer) pauses all writes, because it affects every object; a refusal of one object
affects only that object. A replica that no longer leads writes nothing: every call names the term of leadership, and a
new term starts empty.
"""

from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from typing import Final, Generic, NamedTuple, TypeVar

from nvtopo.errors import ApiError
from nvtopo.kube.refusal import Throttled
from nvtopo.runtime.backoff import Backoff
from nvtopo.runtime.token_bucket import TokenBucket

D = TypeVar("D")

_NOT_FOUND: Final = 404
#: Refusals that say nothing of the object: not now (408, 429), or not by us (401, 403).
_OF_THE_SERVER: Final = (0, 401, 403, 408, 429)
_SERVER_ERRORS: Final = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the load on the API server."""

    burst: int = 200
    per_second: float = 100.0
    in_flight: int = 4
    refused_seconds: float = 60.0
    """Seconds until a refused object is tried again unchanged."""


class Outcome(Enum):
    """The result of a write."""

    WRITTEN = "written"
    GONE = "gone"
    """There is no such object."""
    REFUSED = "refused"
    """The server refuses this object."""
    UNAVAILABLE = "unavailable"
    """The server is unavailable for any object."""


class Write(NamedTuple, Generic[D]):
    """One write that is under way."""

    name: str
    document: D
    sent_at: float


def outcome_of(error: ApiError) -> Outcome:
    """What a refusal means for the queue."""
    if error.status == _NOT_FOUND:
        return Outcome.GONE
    unavailable = error.status in _OF_THE_SERVER or error.status >= _SERVER_ERRORS or isinstance(error, Throttled)
    return Outcome.UNAVAILABLE if unavailable else Outcome.REFUSED


class ApplyQueue(Generic[D]):
    """At most one document for each object. Moments are monotonic seconds, and all from one clock."""

    def __init__(self, limits: Limits, backoff: Backoff) -> None:
        self._limits = limits
        self._backoff = backoff
        self._rate = TokenBucket(limits.burst, limits.per_second)
        self._term = 0
        self._waiting: dict[str, D] = {}
        #: None if its result no longer matters: the object is gone, or the term is over.
        self._under_way: dict[str, Write[D] | None] = {}
        self._written: dict[str, D] = {}
        #: With the moment when it is tried again, the earliest first.
        self._refused: dict[str, tuple[D, float]] = {}
        self._paused_until: float | None = None
        self.outcomes: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        """Number of writes so far, by outcome."""

    @property
    def waiting(self) -> int:
        """Number of objects whose newest document is not written yet."""
        return len(self._waiting) + len(self._under_way)

    @property
    def refused(self) -> int:
        """Number of objects that the server refuses."""
        return len(self._refused)

    @property
    def available(self) -> bool:
        """False from a failure of the server's until a write works again."""
        return self._paused_until is None

    def want(self, name: str, document: D, term: int) -> None:
        """Set what the object should be now. Terms count from 1, and what an earlier one wanted is ignored."""
        self._begin(term)
        if term < self._term:
            return
        self._waiting.pop(name, None)
        if name in self._refused and self._refused[name][0] == document:
            return
        self._refused.pop(name, None)
        under_way = self._under_way.get(name)
        if (under_way.document if under_way else self._written.get(name)) != document:
            self._waiting[name] = document

    def knows(self, name: str) -> bool:
        """Whether anything of the object was written in this term, or waits to be."""
        return any(name in known for known in (self._waiting, self._under_way, self._written, self._refused))

    def forget(self, name: str) -> None:
        """Forget an object that is gone."""
        for known in (self._waiting, self._written, self._refused):
            known.pop(name, None)
        if name in self._under_way:
            self._under_way[name] = None

    def next(self, now: float, term: int | None) -> Write[D] | None:
        """The write to send now; report its result to ``done``. ``term`` is None if this replica does not lead."""
        if term is None:
            return None
        self._begin(term)
        if term < self._term or self._paused(now) or len(self._under_way) >= self._most_under_way:
            return None
        self._try_refused_again(now)
        name = next((name for name in self._waiting if name not in self._under_way), None)
        if name is None or not self._rate.take(now):
            return None
        write = Write(name, self._waiting.pop(name), now)
        self._under_way[name] = write
        return write

    def done(self, write: Write[D], outcome: Outcome, now: float, retry_after: float = 0.0) -> None:
        """What came of a write; ``retry_after`` are the seconds that the server asked for."""
        self.outcomes[outcome] += 1
        if outcome is Outcome.UNAVAILABLE:
            self._pause(write, now, retry_after)
        else:
            self._backoff.reset()
            self._paused_until = None
        if self._under_way.pop(write.name) is not write:
            return
        if outcome is Outcome.WRITTEN:
            self._written[write.name] = write.document
        elif outcome is Outcome.UNAVAILABLE:
            self._waiting.setdefault(write.name, write.document)
        elif outcome is Outcome.REFUSED and write.name not in self._waiting:
            self._refused[write.name] = (write.document, now + self._limits.refused_seconds)

    def seconds_until_next(self, now: float) -> float:
        """How long to wait before ``next`` is worth another call, unless something changes meanwhile."""
        if self._paused(now) and self._paused_until is not None:
            return self._paused_until - now
        if self._waiting and len(self._under_way) < self._most_under_way:
            return self._rate.seconds_until_next(now)
        return max(0.0, next((until - now for _, until in self._refused.values()), float("inf")))

    @property
    def _most_under_way(self) -> int:
        """One alone tries whether the server is back."""
        return self._limits.in_flight if self.available else 1

    def _begin(self, term: int) -> None:
        if term <= self._term:
            return
        self._term = term
        for known in (self._waiting, self._written, self._refused):
            known.clear()
        self._under_way = dict.fromkeys(self._under_way)

    def _paused(self, now: float) -> bool:
        return self._paused_until is not None and now < self._paused_until

    def _pause(self, write: Write[D], now: float, retry_after: float) -> None:
        """Writes that were under way together fail together: that is one failure."""
        known = self._paused_until
        if known is not None and write.sent_at < known:
            self._paused_until = max(known, now + retry_after)
        else:
            self._paused_until = now + self._backoff.delay(retry_after)

    def _try_refused_again(self, now: float) -> None:
        due = takewhile(lambda name: self._refused[name][1] <= now, self._refused)
        for name in tuple(due):
            self._waiting.setdefault(name, self._refused.pop(name)[0])
