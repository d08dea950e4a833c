"""The HTTP server under the agent's page: one request a connection, and a bound on everything a client can ask for.

One thread accepts, reads heads and answers what is quick; a page is answered by a thread of its own. Whoever sends no
whole request costs none, and a probe waits for none. A newcomer always gets a slot
(``nvtopo.runtime.connection_slots``): slow, silent or many clients never keep the kubelet's probes and Prometheus out.
"""

import io
import logging
import socket
from collections.abc import Callable, Iterable
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, Final, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

from nvtopo.agent.http.workers import Workers
from nvtopo.auth.review_budget import client_of
from nvtopo.runtime.connection_slots import Limits
from nvtopo.runtime.front import BACKLOG, Door, Front
from nvtopo.runtime.seats import Seats
from nvtopo.runtime.visit import Visit, path_of

if TYPE_CHECKING:
    from ssl import SSLContext

logger = logging.getLogger(__name__)

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: Prometheus gives up after 10 s, unless told otherwise.
LIMITS: Final = Limits(total=256, one_client=128, busy=16, known=32, head=5.0, answer=15.0, idle=0.0, unread=15.0)
#: One for each that may be answered at once: they wait for clients that read slowly, and for reviews of tokens.
_MOST_WORKERS: Final = LIMITS.busy + LIMITS.known
_MOST_BUGS: Final = 64
_LONGEST_BUG: Final = 200
VISIT: Final = "nvtopo.visit"
"""The key of the ``Visit`` in a request's environment."""


class BoundedServer(WSGIServer):
    """Serves ``app``; ``tls`` gives the context for each new connection, or None for plain HTTP."""

    request_queue_size = BACKLOG
    limits = LIMITS

    def __init__(
        self,
        address: str,
        port: int,
        app: WsgiApp,
        tls: "Callable[[], SSLContext] | None",
        *,
        slow_paths: tuple[str, ...] = (),
    ) -> None:
        """``slow_paths`` are answered by other threads, all others by the one that accepts."""
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.app = app
        self.seats = Seats(self.limits)
        self.bugs_said: set[str] = set()
        """The bugs of the page that were logged."""
        self._slow = tuple(path.encode() for path in slow_paths)
        self._workers: Workers[Visit] = Workers(_MOST_WORKERS, self._serve)
        super().__init__((address, port), _Handler)
        self._front = Front(self.socket, self.seats, Door(client_of, tls), self._answer)

    def server_bind(self) -> None:
        """Bind without resolving the address's name, which would take minutes while the resolver is down."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def serve_forever(self, poll_interval: float = 0.0) -> None:
        """Accept, read and answer until ``shutdown``."""
        del poll_interval
        self._front.run()

    def shutdown(self) -> None:
        """End ``serve_forever``."""
        self._front.stop()

    def server_close(self) -> None:
        """Close the listening socket, and let the threads end."""
        super().server_close()
        self._workers.close()

    def _answer(self, visit: Visit) -> None:
        if path_of(visit) in self._slow:
            visit.connection.settimeout(None)  # ``drop`` ends what it waits for
            self._workers.put(visit)
        else:
            self._serve(visit)

    def _serve(self, visit: Visit) -> None:
        try:
            if visit in self.seats:
                self.finish_request(cast("Any", visit), visit.address)
        except Exception as error:
            level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
            logger.log(level, "connection failed", extra={"client": visit.address[0]}, exc_info=error)
        finally:
            self.seats.leave(visit)
            visit.close()


class _Answered(io.RawIOBase):
    """Where an answer goes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        try:
            self._connection.sendall(content)
        except OSError as error:  # of TLS too
            raise ConnectionAbortedError("the client left, or did not read its answer") from error
        return len(content)


class _Response(ServerHandler):
    """The response to one request. Ignores clients that disconnected; a part of the page that fails is a bug."""

    def log_exception(self, exc_info: Any) -> None:
        said = cast("_Handler", self.request_handler).server.bugs_said  # type: ignore[attr-defined]
        what = repr(exc_info[1])[:_LONGEST_BUG]
        if what not in said and len(said) < _MOST_BUGS:  # not for each request: a stranger may send many
            said.add(what)
            logger.error("bug in the page", exc_info=exc_info)


class _Handler(WSGIRequestHandler):
    """One request, whose head is complete."""

    server: BoundedServer
    request: Any  # a Visit: socketserver says it is a socket

    def setup(self) -> None:
        self.connection = self.request.connection
        self.rfile = io.BufferedReader(io.BytesIO(self.request.head))
        self.wfile = _Answered(self.connection)  # type: ignore[assignment]

    def handle(self) -> None:
        self.requestline, self.request_version, self.command = "", "", ""
        self.raw_requestline = self.rfile.readline()
        if not self.parse_request():  # which answered
            return
        environ = self.get_environ() | {VISIT: self.request}
        answer = _Response(self.rfile, cast("Any", self.wfile), io.StringIO(), environ, multithread=True)
        answer.request_handler = self  # type: ignore[attr-defined]  # as wsgiref.simple_server does
        answer.run(self.server.app)

    def finish(self) -> None:
        """The server closes."""

    def log_message(self, *_: Any) -> None:
        """Log no requests."""
