"""The HTTP server under the agent's page: one request a connection, and a bound on everything a client can ask for.

A slow client, a huge request or a crowd costs at most the slots of its own address: the kubelet's probes and Prometheus
come from others.
"""

import http.client
import io
import logging
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from ssl import SSLContext

logger = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: From the connection to the last byte of the answer. Prometheus gives up after 10 s, unless told otherwise.
DEADLINE_SECONDS: Final = 15.0
#: Request line and headers together; a service account's token is a kibibyte.
LARGEST_HEAD_BYTES: Final = 16 << 10
MOST_CONNECTIONS: Final = 32
MOST_CONNECTIONS_OF_ONE_ADDRESS: Final = 8


class Server(ThreadingMixIn, WSGIServer):
    """Serves ``app``; ``tls`` gives the context for each new connection, or None for plain HTTP."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS
    deadline_seconds = DEADLINE_SECONDS

    def __init__(self, address: str, port: int, app: WsgiApp, tls: "Callable[[], SSLContext] | None") -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.tls = tls
        self._open: Counter[str] = Counter()
        self._counting = threading.Lock()
        self.app = app
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Without the name of the address, which a resolver that is down takes minutes to not find."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own; a connection above the bounds is closed at once."""
        if self._enter(client_address[0]):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve it, and give back its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._open[client_address[0]] -= 1
                self._open += Counter()  # forgets who has none

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes, or speaks no HTTP, is no news."""
        del request
        error = sys.exception()
        level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
        logger.log(level, "connection failed", extra={"client": client_address[0]}, exc_info=error)

    def _enter(self, client: str) -> bool:
        with self._counting:
            if self._open.total() >= MOST_CONNECTIONS or self._open[client] >= MOST_CONNECTIONS_OF_ONE_ADDRESS:
                return False
            self._open[client] += 1
            return True


class _Timed(io.RawIOBase):
    """A connection as a file that fails at a moment, however often a byte still comes; and after so many bytes read."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until
        self._left = LARGEST_HEAD_BYTES

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise http.client.LineTooLong("request")  # which http.server answers with 431
        self._connection.settimeout(self._seconds())
        count = self._connection.recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count

    def write(self, content: Any) -> int:
        rest = memoryview(content).cast("B")
        try:
            while rest:
                self._connection.settimeout(self._seconds())
                rest = rest[self._connection.send(rest) :]
        except TimeoutError as error:
            raise ConnectionAbortedError("the client does not read its answer") from error
        return len(content)

    def _seconds(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        return left


class _Answer(ServerHandler):
    """The answer to one request. A client that went is no news, a part of the page that fails is a bug."""

    def log_exception(self, exc_info: Any) -> None:
        logger.error("bug in the page", exc_info=exc_info)


class _Handler(WSGIRequestHandler):
    """One request."""

    server: Server

    def setup(self) -> None:
        until = time.monotonic() + self.server.deadline_seconds
        self.connection = self.request
        if self.server.tls:
            self.request.settimeout(self.server.deadline_seconds)
            self.connection = self.server.tls().wrap_socket(self.request, server_side=True)
        self.rfile = io.BufferedReader(_Timed(self.connection, until))
        self.wfile = _Timed(self.connection, until)  # type: ignore[assignment]

    def handle(self) -> None:
        self.requestline, self.request_version, self.command = "", "", ""
        try:
            self.raw_requestline = self.rfile.readline(LARGEST_HEAD_BYTES + 1)
            if not self.parse_request():  # which answered
                return
        except http.client.LineTooLong:
            self.send_error(431)
            return
        answer = _Answer(self.rfile, cast("Any", self.wfile), io.StringIO(), self.get_environ(), multithread=True)
        answer.request_handler = self  # type: ignore[attr-defined]  # as wsgiref.simple_server does
        answer.run(self.server.app)

    def finish(self) -> None:
        if self.connection is not self.request:
            self.connection.close()

    def log_message(self, *_: Any) -> None:
        """A scrape a second is no news."""
