"""One connection: uvicorn's HTTP/1.1, which tells the slots what the connection is at, and closes when they say so."""

import asyncio
import contextlib
from typing import Final, Protocol

import h11
import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from nvtopo.runtime.seats import Seats
from nvtopo.runtime.visit import Visit

_STATE: Final = "guest"


class Visitor(Protocol):
    """What the application may ask of the connection that a request came by."""

    def vouch(self) -> None:
        """The request's token is known and good."""

    def stream(self) -> bool:
        """The answer has no end; False if there is no slot for it."""


def visitor(scope: Scope) -> Visitor | None:
    """The connection of a request; None under another server than ours."""
    found: Visitor | None = scope.get("state", {}).get(_STATE)
    return found


class Guest(H11Protocol):
    """One client's connection."""

    def __init__(self, config: uvicorn.Config, state: ServerState, seats: Seats, visit: Visit) -> None:
        super().__init__(config, state, {_STATE: self})
        self._seats = seats
        self._visit = visit
        self.connected = False

    def drop(self) -> None:
        """Close at once, whatever it is at; from any thread."""
        with contextlib.suppress(RuntimeError):  # the event loop has ended, and its connections with it
            self.loop.call_soon_threadsafe(self._abort)

    def vouch(self) -> None:
        """The request's token is known and good."""
        self._seats.vouch(self._visit)

    def stream(self) -> bool:
        """The answer has no end; False if there is no slot for it."""
        return self._seats.stream(self._visit)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """After the handshake. What was read already comes first."""
        self.connected = True
        super().connection_made(transport)
        if self._visit.head:
            self.data_received(bytes(self._visit.head))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client closed the connection, or it broke."""
        self._seats.leave(self._visit)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """What the client sent may complete a request's head."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._seats.asks(self._visit)

    def on_response_complete(self) -> None:
        """An answer is written; a body that nobody asked for ends the connection."""
        self._seats.answered(self._visit)
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the slots have the time

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._seats.stalled(self._visit)
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client takes bytes again."""
        self._seats.flowing(self._visit)
        super().resume_writing()

    def _abort(self) -> None:
        self._visit.shut()
        if self.connected:
            self.transport.abort()
