"""A proxy on loopback before a real API server, with the API server's own certificate, that does wrong on order."""

import contextlib
import hashlib
import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.lab.control_plane import ControlPlane

#: Hop by hop, or the proxy's own to say.
_LEFT_OUT: Final = {"connection", "transfer-encoding", "host", "keep-alive", "date", "server"}
#: Closing such a socket resets its connection.
_RESET: Final = struct.pack("ii", 1, 0)


class Request(NamedTuple):
    """One request as it came in."""

    at_seconds: float
    """Monotonic."""
    method: str
    path: str
    """Without its query."""
    query: str
    token: str
    """A digest of the bearer token: tokens belong into no assertion."""
    status: int
    """Of the answer."""


def is_write(request: Request) -> bool:
    """Server-side apply of a resource."""
    return request.method == "PATCH" and "/nodetopologies/" in request.path


def is_watch(request: Request) -> bool:
    """An answer that goes on until somebody ends it."""
    return "watch=true" in request.query


class Refusal(NamedTuple):
    """What is answered instead of what the API server would."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


Fault = Callable[[Request], Refusal | None]
"""What is wrong with a request; None where nothing is."""


class ApiProxy:
    """Serves while it is entered; healthy until told otherwise."""

    def __init__(self, plane: ControlPlane) -> None:
        self._upstream = plane.server.removeprefix("https://")
        self._client = ssl.create_default_context(cafile=str(plane.ca_file))
        self._certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.load_cert_chain(plane.ca_file, plane.ca_file.with_suffix(".key"))
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._resets = 0
        self._open: set[socket.socket] = set()
        """Connections on both sides."""
        self.fault: Fault = lambda _: None
        self.delay_seconds = 0.0
        self._away = False
        self._server = _Server(self)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="api-proxy", daemon=True).start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self.leave()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """On 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """All to which an answer was begun, in that order."""
        with self._lock:
            return list(self._requests)

    @property
    def resets(self) -> int:
        """Connections that were reset while the API server was away."""
        return self._resets

    def leave(self) -> None:
        """The API server goes away: what is open breaks, what comes is reset."""
        self._away = True
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        self._away = False

    def refuse(self, status: int, *, of: Callable[[Request], bool], times: int = 1, **headers: str) -> None:
        """Refuses so many such requests; ``retry_after`` is the header ``Retry-After``."""
        given = {name.replace("_", "-").title(): value for name, value in headers.items()}
        left = iter(range(times))

        def fault(request: Request) -> Refusal | None:
            if not of(request) or next(left, None) is None:
                return None
            return Refusal(status, given, f"<html>{status}, says a load balancer</html>".encode())

        self.fault = fault

    # What follows is called from the server's threads.

    def admit(self, connection: socket.socket) -> ssl.SSLSocket | None:
        """The connection with TLS to come; None where it was reset."""
        if self._away:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._resets += 1
            connection.close()
            return None
        wrapped = self._certificate.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(wrapped)
        return wrapped

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def note(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    def ask(self, handler: BaseHTTPRequestHandler, body: bytes | None) -> http.client.HTTPResponse:
        """The API server's answer to the same request; its connection is closed with the answer."""
        upstream = http.client.HTTPSConnection(self._upstream, context=self._client, timeout=330)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in _LEFT_OUT}
        upstream.request(handler.command, handler.path, body, {**headers, "Connection": "close"})
        with self._lock:
            self._open.add(upstream.sock)
        return upstream.getresponse()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: ApiProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request_thread(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        """In the connection's own thread: a TLS handshake waits for the other side."""
        wrapped = self.proxy.admit(request)
        if wrapped is None:
            return
        try:
            with contextlib.suppress(OSError, http.client.HTTPException):  # either side may break its connection
                wrapped.do_handshake()
                self.finish_request(wrapped, client_address)
        finally:
            self.proxy.forget(wrapped)
            wrapped.close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _serve(self) -> None:
        came = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
        path, _, query = self.path.partition("?")
        request = Request(came, self.command, path, query, digest(self.headers.get("Authorization", "")), 0)
        time.sleep(self.server.proxy.delay_seconds)
        refusal = self.server.proxy.fault(request)
        if refusal:
            self.server.proxy.note(request._replace(status=refusal.status))
            self._answer(refusal.status, {**refusal.headers, "Content-Type": "text/html"}, refusal.body)
        else:
            self._forward(request, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _forward(self, request: Request, body: bytes | None) -> None:
        with self.server.proxy.ask(self, body) as answer:
            self.server.proxy.note(request._replace(status=answer.status))
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _LEFT_OUT}
            if answer.length is not None:
                self._answer(answer.status, headers, answer.read())
            else:
                self._stream(answer, headers)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _stream(self, answer: http.client.HTTPResponse, headers: Mapping[str, str]) -> None:
        self._head(answer.status, {**headers, "Transfer-Encoding": "chunked"})
        while piece := answer.read1(1 << 16):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def digest(authorization: str) -> str:
    """Tells one bearer token from another."""
    scheme, _, token = authorization.partition(" ")
    assert scheme.lower() in ("bearer", "")
    return hashlib.sha256(token.encode()).hexdigest()[:12]
