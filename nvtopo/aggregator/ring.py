"""The latest changes of the graph, so that a client may go on where it was: bounded in number and in bytes."""

from collections import deque
from itertools import takewhile
from typing import Final, NamedTuple

#: A change that is longer is the whole graph, nearly: who follows is sent that.
MOST_CHANGE_BYTES: Final = 1 << 20


class SentEvent(NamedTuple):
    """One event of the change stream, as its bytes were sent."""

    previous: int
    generation: int
    event: bytes


class Limits(NamedTuple):
    """How much is kept."""

    changes: int = 4096
    size: int = 8 << 20
    """Bytes."""


class Ring:
    """A state machine: for one thread, or under a lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changes: deque[SentEvent] = deque()
        self._size = 0
        self._whole: int | None = None
        self._latest: int | None = None

    def put(self, change: SentEvent) -> None:
        """The change that follows the latest one."""
        if change.previous != self._latest:
            self.clear(change.previous)
        if len(change.event) > min(MOST_CHANGE_BYTES, self._limits.size):
            self.clear(change.generation)
            return
        self._latest = change.generation
        self._changes.append(change)
        self._size += len(change.event)
        while len(self._changes) > self._limits.changes or self._size > self._limits.size:
            self._size -= len(self._changes.popleft().event)

    def clear(self, generation: int) -> None:
        """What changed up to this generation can't be told one by one: who follows needs the whole graph."""
        self._changes.clear()
        self._size = 0
        self._whole = self._latest = generation

    def after(self, generation: int) -> list[SentEvent] | None:
        """All changes after a generation that was published; None if some of them are not kept."""
        oldest = self._changes[0].previous if self._changes else self._latest
        if oldest is None or generation < oldest:
            return None
        return [*takewhile(lambda change: change.generation > generation, reversed(self._changes))][::-1]

    def slow(self, generation: int) -> bool:
        """Whether who is at this generation could have had every change since, and did not take them in time."""
        return self._whole is not None and generation >= self._whole and self.after(generation) is None
