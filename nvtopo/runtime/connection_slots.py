"""Which connections a server keeps, and for how long: a state machine without I/O, clock or thread.

A newcomer always gets a slot, so a probe does whatever strangers do. If there is none left, the connection that has
shown least goes: one that has sent no whole request before one that is being answered, strangers before readers whose
token is known, and among equals the oldest of the client that holds most. Readers who are known never hold all slots.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K")

_NEVER: Final = float("inf")
#: What a connection has shown, strangers first: waiting for it, being answered, with an answer that has no end.
#: A probe is answered at once, so it goes last.
_WAITING, _BUSY, _STREAM, _KNOWN_WAITING, _KNOWN_BUSY, _KNOWN_STREAM, _PROBE = _RANKS = range(7)


class Reason(StrEnum):
    """Why a connection is dropped: the values of a metric's label."""

    HEAD = "head"
    """It sent no whole request in time."""
    IDLE = "idle"
    """It asked nothing more."""
    ANSWER = "answer"
    """Its answer took too long."""
    UNREAD = "unread"
    """It does not read."""
    CLIENT = "client"
    """Its client has too many."""
    CROWD = "crowd"
    """Another one needed the slot."""
    STREAMS = "streams"
    """Another one needed the slot of a stream."""


class Limits(NamedTuple):
    """Numbers of connections, and seconds."""

    total: int
    one_client: int
    busy: int
    """Strangers that are being answered at once."""
    known: int
    """Slots that readers with a known token may hold; the others are for newcomers."""
    head: float
    """From the connection to the end of the first request's head, the TLS handshake included."""
    answer: float
    """From there to the end of the answer."""
    idle: float
    """From there to the end of the next request's head."""
    unread: float
    """For how long bytes may wait for a client that reads nothing."""
    streams: int = 0
    """Answers that have no end."""
    stream: float = 60.0
    """How long a stream keeps its slot against newcomers of the same client."""


class Drop(NamedTuple, Generic[K]):
    """A connection to close at once, whatever it is at. It has no slot any more."""

    key: K
    reason: Reason


@dataclass(slots=True)
class _Seat:
    client: str
    until: float
    late: Reason
    """The reason once ``until`` has come."""
    known: bool = False
    at: int = _WAITING
    stalled: float = _NEVER
    """When it counts as one that does not read."""

    @property
    def rank(self) -> int:
        return self.at + (_KNOWN_WAITING if self.known and self.at != _PROBE else 0)


class _Queue(Generic[K]):
    """Keys by client, the oldest first."""

    def __init__(self) -> None:
        self._clients: dict[str, OrderedDict[K, float]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, client: str) -> int:
        return len(self._clients.get(client, ()))

    def add(self, key: K, client: str, now: float = 0.0) -> None:
        self._clients.setdefault(client, OrderedDict())[key] = now
        self._count += 1

    def remove(self, key: K, client: str) -> None:
        keys = self._clients.get(client, OrderedDict())
        if key in keys:
            del keys[key]
            self._count -= 1
        if not keys:
            self._clients.pop(client, None)

    def largest(self) -> str:
        """The client that has most; the one that came first among equals."""
        return max(self._clients, key=lambda client: len(self._clients[client]))

    def oldest(self, client: str) -> tuple[K, float]:
        return next(iter(self._clients[client].items()))


class ConnectionSlots(Generic[K]):
    """Not thread-safe. Moments are monotonic seconds. What is asked about a connection without a slot is ignored."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seats: dict[K, _Seat] = {}
        self._ranks: list[_Queue[K]] = [_Queue() for _ in _RANKS]
        self._streams: _Queue[K] = _Queue()
        self._clients: Counter[str] = Counter()
        self.dropped: Counter[Reason] = Counter()
        """How many were dropped so far."""

    def __len__(self) -> int:
        return len(self._seats)

    def __contains__(self, key: object) -> bool:
        return key in self._seats

    def enter(self, key: K, client: str, now: float) -> list[Drop[K]]:
        """A new connection, and those that make room for it."""
        drops = []
        if self._clients[client] >= self._limits.one_client:
            drops.append(self._evict(self._lowest(client), Reason.CLIENT, client))
        elif len(self._seats) >= self._limits.total:
            drops.append(self._evict(self._lowest(), Reason.CROWD))
        self._seats[key] = _Seat(client, now + self._limits.head, Reason.HEAD)
        self._ranks[_WAITING].add(key, client)
        self._clients[client] += 1
        return drops

    def asks(self, key: K, now: float) -> list[Drop[K]]:
        """The head of a request is complete. If too many strangers are being answered, one of them goes."""
        seat = self._seats.get(key)
        if seat is None:
            return []
        drops = []
        if seat.rank == _WAITING and len(self._ranks[_BUSY]) >= self._limits.busy:
            drops.append(self._evict(_BUSY, Reason.CROWD))
        self._change(key, seat, at=_BUSY, until=now + self._limits.answer, late=Reason.ANSWER)
        return drops

    def probes(self, key: K, now: float) -> None:
        """The head of a request is complete whose answer is short and ready."""
        if seat := self._seats.get(key):
            self._change(key, seat, at=_PROBE, until=now + self._limits.answer, late=Reason.ANSWER)

    def answered(self, key: K, now: float) -> None:
        """Its answer is written, and the connection stays open."""
        if seat := self._seats.get(key):
            self._change(key, seat, at=_WAITING, until=now + self._limits.idle, late=Reason.IDLE)

    def vouch(self, key: K) -> list[Drop[K]]:
        """The request's token is known and good. If too many are known, one of them goes."""
        seat = self._seats.get(key)
        if seat is None or seat.known:
            return []
        known = [rank for rank in (_KNOWN_WAITING, _KNOWN_BUSY, _KNOWN_STREAM) if self._ranks[rank]]
        drops = []
        if sum(len(self._ranks[rank]) for rank in known) >= self._limits.known:
            drops.append(self._evict(known[0], Reason.CROWD))
        self._ranks[seat.rank].remove(key, seat.client)
        seat.known = True
        self._ranks[seat.rank].add(key, seat.client)
        return drops

    def stream(self, key: K, now: float) -> list[Drop[K]] | None:
        """The answer has no end; None if there is no slot for it.

        A client that holds more than its share gives one up, and so does the oldest after its time.
        """
        seat = self._seats.get(key)
        if seat is None:
            return None
        drops: list[Drop[K]] = []
        if len(self._streams) >= self._limits.streams:
            if not self._streams:
                return None
            largest = self._streams.largest()
            oldest, since = self._streams.oldest(largest)
            unfair = self._streams.of(largest) > self._streams.of(seat.client) + 1
            if not unfair and now < since + self._limits.stream:
                return None
            drops.append(self._drop(oldest, Reason.STREAMS))
        self._change(key, seat, at=_STREAM, until=_NEVER, late=Reason.ANSWER)
        self._streams.add(key, seat.client, now)
        return drops

    def stalled(self, key: K, now: float) -> None:
        """Bytes wait because the client does not read them."""
        if seat := self._seats.get(key):
            seat.stalled = now + self._limits.unread

    def flowing(self, key: K) -> None:
        """The client takes bytes again."""
        if seat := self._seats.get(key):
            seat.stalled = _NEVER

    def leave(self, key: K) -> None:
        """The connection is closed: its slot is free."""
        seat = self._seats.pop(key, None)
        if seat is None:
            return
        self._ranks[seat.rank].remove(key, seat.client)
        self._streams.remove(key, seat.client)
        self._clients[seat.client] -= 1
        if not self._clients[seat.client]:
            del self._clients[seat.client]

    def overdue(self, now: float) -> list[Drop[K]]:
        """Those whose time is up."""
        late = [
            (key, Reason.UNREAD if now >= seat.stalled else seat.late)
            for key, seat in self._seats.items()
            if now >= min(seat.until, seat.stalled)
        ]
        return [self._drop(key, reason) for key, reason in late]

    def _change(self, key: K, seat: _Seat, *, at: int, until: float, late: Reason) -> None:
        self._ranks[seat.rank].remove(key, seat.client)
        self._streams.remove(key, seat.client)
        seat.at, seat.until, seat.late = at, until, late
        self._ranks[seat.rank].add(key, seat.client)

    def _lowest(self, client: str | None = None) -> int:
        """The lowest rank that has connections, of this client if one is named."""
        return next(rank for rank in _RANKS if (self._ranks[rank].of(client) if client else len(self._ranks[rank])))

    def _evict(self, rank: int, reason: Reason, client: str | None = None) -> Drop[K]:
        queue = self._ranks[rank]
        return self._drop(queue.oldest(client or queue.largest())[0], reason)

    def _drop(self, key: K, reason: Reason) -> Drop[K]:
        self.leave(key)
        self.dropped[reason] += 1
        return Drop(key, reason)
