"""Takes requests from the thread that accepts into the server's event loop. In a crowd that thread answers probes.

It does so only while the event loop turns: a loop that is stuck answers no probe.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Message

from nvtopo.aggregator.guest import Guest
from nvtopo.runtime.connection_slots import Limits
from nvtopo.runtime.front import PROBES
from nvtopo.runtime.seats import Seats
from nvtopo.runtime.visit import Visit, path_of

logger = logging.getLogger(__name__)

LIMITS: Final = Limits(
    total=512,
    one_client=256,
    busy=128,
    known=384,
    head=10.0,
    answer=60.0,
    idle=75.0,
    unread=15.0,
    streams=128,
)
#: With so many connections a probe does not wait for the event loop, and its connection is closed.
_CROWD: Final = 8
_BEAT_SECONDS: Final = 0.5
#: After so long without a beat the event loop is stuck.
_STUCK_SECONDS: Final = 5.0
_GOODBYE_SECONDS: Final = 2.0


class Reception:
    """It lives in the server's event loop; ``come`` is for the thread that accepts."""

    def __init__(
        self,
        app: ASGIApp,
        seats: Seats,
        guest: Callable[[Visit], Guest],
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        """``guest`` makes the protocol of a connection; ``tls`` gives its context."""
        self._app = app
        self._seats = seats
        self._guest = guest
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beat()

    def come(self, visit: Visit) -> None:
        """A request, from the thread that accepts."""
        path = self._probed(visit)
        if path and time.monotonic() < self._beaten_at + _STUCK_SECONDS:
            self._answer_now(visit, path)
        else:
            self._loop.call_soon_threadsafe(self._receive, visit)

    def close(self) -> None:
        """End handshakes."""
        self._beating.cancel()
        for task in self._tasks:
            task.cancel()

    def _beat(self) -> None:
        self._beaten_at = time.monotonic()
        self._beating = self._loop.call_later(_BEAT_SECONDS, self._beat)

    def _receive(self, visit: Visit) -> None:
        guest = self._guest(visit)
        visit.drop = guest.drop
        self._begin(self._welcome(guest, visit), lambda: None if guest.connected else self._leave(visit))

    def _answer_now(self, visit: Visit, path: str) -> None:
        """The application answers probes without waiting for anything, so it needs no event loop."""
        answering = self._answer(visit, path)
        try:
            answering.send(None)
        except StopIteration:
            pass
        except Exception:  # no client may end more than its own connection
            logger.exception("a probe failed")
        finally:
            answering.close()
            self._leave(visit)

    def _begin(self, work: Coroutine[None, None, None], after: Callable[[], None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: after())

    def _leave(self, visit: Visit) -> None:
        self._seats.leave(visit)
        visit.close()

    def _probed(self, visit: Visit) -> str:
        """The path of a probe whose connection need not be kept; empty for all else."""
        path, (line, _, headers) = path_of(visit), bytes(visit.head).partition(b"\n")
        if path not in PROBES or not line.startswith(b"GET "):
            return ""
        closes = len(self._seats) > _CROWD or b"\nconnection: close" in headers.lower()
        return path.decode("ascii", "replace") if closes else ""

    async def _answer(self, visit: Visit, path: str) -> None:
        """Ask the application, and close."""
        answer = bytearray()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = HTTPStatus(message["status"])
                lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
                lines += [name + b": " + value for name, value in message["headers"]]
                answer.extend(b"\r\n".join([*lines, b"connection: close", b"", b""]))
            else:
                answer.extend(message.get("body", b""))

        await self._app(_scope(visit, path), _nothing, send)
        with contextlib.suppress(OSError):
            visit.connection.send(answer)

    async def _welcome(self, guest: Guest, visit: Visit) -> None:
        try:
            await self._connect(guest, visit)
        except OSError as error:  # of TLS too
            logger.debug("connection failed", extra={"reason": str(error)})

    async def _connect(self, guest: Guest, visit: Visit) -> None:
        if self._tls is None:
            await self._loop.connect_accepted_socket(lambda: guest, visit.connection)
            return
        await self._loop.connect_accepted_socket(
            lambda: guest,
            visit.connection,
            ssl=self._tls(),
            ssl_handshake_timeout=LIMITS.head,
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )


def _scope(visit: Visit, path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(_headers(bytes(visit.head))),
        "client": visit.address,
        "server": None,
        "state": {},
    }


def _headers(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            yield name.strip().lower(), value.strip()


async def _nothing() -> Message:
    """A probe has no body."""
    return {"type": "http.request", "body": b"", "more_body": False}
