"""Accepts connections and reads their requests' heads, in one thread: what a server answers is whole and has a slot.

Whoever sends no whole request costs a socket and a few bytes: no thread, and nothing of the server that answers.
"""

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from nvtopo.runtime.seats import Seats
from nvtopo.runtime.visit import Progress, Visit, path_of
from nvtopo.runtime.wakeup import Wakeup

BACKLOG: Final = 1024
"""Connections that the kernel accepts for us meanwhile: a client that finds no place tries again after a second."""
PROBES: Final = (b"/healthz", b"/readyz")
"""Paths whose answer is short and ready."""

#: What the kernel keeps for a client that reads slowly.
_SEND_BUFFER_BYTES: Final = 128 << 10
#: Connections accepted before those that are open get their turn.
_AT_ONCE: Final = 16
_SWEEP_SECONDS: Final = 0.5
_NO_FILES_SECONDS: Final = 0.05
_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"


class Door(NamedTuple):
    """How connections come in."""

    client_of: Callable[[str], str]
    """Whose slots an address uses."""
    tls: Callable[[], ssl.SSLContext] | None = None
    """The context for a new connection; None for plain HTTP."""
    only_begun: bool = False
    """A request is given on with its first byte, unread: who answers does TLS itself."""


class Front:
    """Accepts on a listening socket while ``run`` runs, and gives each request on."""

    def __init__(self, listening: socket.socket, seats: Seats, door: Door, on_request: Callable[[Visit], None]) -> None:
        """``on_request`` has the connection from then on: it ends with ``seats.leave`` and ``close``."""
        listening.settimeout(0)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted has both as well
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._listening = listening
        self._seats = seats
        self._door = door
        self._on_request = on_request
        self._stop = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._sweep_at = 0.0

    def run(self) -> None:
        """Accept and read until ``stop``; those whose head is not complete are closed then."""
        with self._selector as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while self._turn():
                if time.monotonic() >= self._sweep_at:
                    self._seats.sweep()
                    self._sweep_at = time.monotonic() + _SWEEP_SECONDS
            waiting = [key.data for key in selector.get_map().values() if isinstance(key.data, Visit)]
        for visit in waiting:
            self._close(visit)

    def stop(self) -> None:
        """End ``run``; from any thread."""
        self._stop.set()

    def _turn(self) -> bool:
        for key, _ in self._selector.select(max(0.0, self._sweep_at - time.monotonic())):
            if key.fileobj is self._stop:
                return False
            if isinstance(key.data, Visit):
                self._advance(key.data)
            else:
                self._accept()
        return True

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, address = self._listening.accept()
            except (BlockingIOError, ConnectionError):  # none is left, or the client is gone already
                return
            except OSError:  # no file is left: others close theirs meanwhile
                time.sleep(_NO_FILES_SECONDS)
                return
            try:
                context = self._door.tls() if self._door.tls and not self._door.only_begun else None
                visit = Visit(connection, context, address[:2])
            except (OSError, ValueError):  # gone before TLS began
                connection.close()
                continue
            self._seats.enter(visit, self._door.client_of(address[0]))
            self._advance(visit)

    def _advance(self, visit: Visit) -> None:
        """Read what the connection sent, and give it on if that is a request."""
        progress = Progress.OVER
        if visit in self._seats:
            progress = visit.began() if self._door.only_begun else visit.advance()
        if progress in {Progress.READ, Progress.WRITE}:
            self._watch(visit, selectors.EVENT_READ if progress is Progress.READ else selectors.EVENT_WRITE)
            return
        self._unwatch(visit)
        if progress is Progress.COMPLETE:
            if not self._door.only_begun:
                (self._seats.probes if path_of(visit) in PROBES else self._seats.asks)(visit)
            visit.asked_at = time.monotonic()
            self._on_request(visit)
            return
        if progress is Progress.TOO_LONG:
            with contextlib.suppress(OSError):
                visit.connection.send(_TOO_LONG)
        self._close(visit)

    def _close(self, visit: Visit) -> None:
        self._seats.leave(visit)
        visit.close()

    def _watch(self, visit: Visit, events: int) -> None:
        if visit.watched == events:
            return
        if visit.watched:
            self._selector.modify(visit.connection, events, visit)
        else:
            self._selector.register(visit.connection, events, visit)
        visit.watched = events

    def _unwatch(self, visit: Visit) -> None:
        if visit.watched:
            self._selector.unregister(visit.connection)
            visit.watched = 0
