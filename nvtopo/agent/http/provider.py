"""dranet's provider of attributes on a Unix socket of this machine: what belongs with each NIC.

dranet asks for one device after the other, so one thread serves one connection at a time. Each has a deadline and a
limit, and only root and this process's user can connect.
"""

import contextlib
import io
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast

import msgspec

from nvtopo.errors import ParseError, ReadError
from nvtopo.exporters.nic_attributes import Asked, NicAttributes
from nvtopo.fabrics import heard
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.wakeup import Wakeup, first_of
from nvtopo.wire.documents import Json

CONNECTION_SECONDS: Final = 2.0
"""For a whole request and its answer."""
MOST_BYTES: Final = 16 << 10
_PAUSE_SECONDS: Final = 0.05
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_HEALTH, _ATTRIBUTES = "/health", "/GetDeviceAttributes"
_METHODS: Final = {_HEALTH: "GET", _ATTRIBUTES: "POST", "/GetDeviceConfig": "POST"}
_CAPABILITIES: Final = {"cloudProvider": True, "profileProvider": False}


class _Device(msgspec.Struct, frozen=True):
    pci_address: str = ""
    name: str = ""


_DEVICE: Final = Json(_Device, "a device", most_bytes=MOST_BYTES)


class DranetResponse(NamedTuple):
    """What dranet is answered."""

    status: HTTPStatus
    document: Mapping[str, object]


def answer(method: str, path: str, body: bytes, known: NicAttributes | None) -> DranetResponse:
    """What dranet is told; ``known`` is None before the first reading."""
    if path not in _METHODS:
        return DranetResponse(HTTPStatus.NOT_FOUND, {"error": f"known paths: {' '.join(_METHODS)}"})
    if method != _METHODS[path]:
        return DranetResponse(HTTPStatus.METHOD_NOT_ALLOWED, {"error": f"expected {_METHODS[path]}"})
    if path == _ATTRIBUTES:
        return _attributes(body, known)
    # No configuration: MTU and routes stay what the host has.
    return DranetResponse(HTTPStatus.OK, _CAPABILITIES if path == _HEALTH else {})


def _attributes(body: bytes, known: NicAttributes | None) -> DranetResponse:
    try:
        device = _DEVICE.read(body)
    except ParseError as error:
        return DranetResponse(HTTPStatus.BAD_REQUEST, {"error": str(error)})
    if known is None:
        return DranetResponse(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "this node has not been read yet"})
    return DranetResponse(HTTPStatus.OK, known.of(Asked(device.pci_address, device.name)))


class Provider:
    """Serves while it is open."""

    def __init__(
        self,
        path: Path,
        latest: Callable[[], NodeTopology | None],
        *,
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        """``latest`` is the node by its latest reading; None before the first.

        Raises:
            ReadError: the socket can't be made.
        """
        self._path = path
        self._latest = latest
        self._seconds = connection_seconds
        self._known: tuple[NodeTopology, NicAttributes] | None = None
        self._stop = Wakeup()
        self._listening = _listening(path)
        self._thread = threading.Thread(target=self._run, name="dranet-provider", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._listening.close()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        waiting: tuple[Wakeup | socket.socket, ...] = (self._stop, self._listening)
        while self._stop not in select.select(waiting, (), ())[0]:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # who asked left, or no file is left
                first_of(self._stop, seconds=_PAUSE_SECONDS)
                continue
            with connection, contextlib.suppress(OSError):  # it left, or does not read
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        Handler(Conversation(connection, time.monotonic() + self._seconds), self._attributes())

    def _attributes(self) -> NicAttributes | None:
        """Concluded once for each reading."""
        node = self._latest()
        if node is None:
            return None
        if self._known is None or self._known[0] is not node:
            self._known = node, NicAttributes(node, heard.switches(node.neighbors))
        return self._known[1]


def _listening(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)  # of an agent that was killed
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen()
    except OSError as error:
        listening.close()
        raise ReadError(f"cannot listen on {path}: {error.strerror or error}") from error
    listening.setblocking(False)  # noqa: FBT003 - its own name for it
    return listening


class Conversation(io.RawIOBase):
    """The connection as a file, with one deadline for the request and its answer, and a limit on the request."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until
        self._left = MOST_BYTES

    def readable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come, as it comes.

        Raises:
            OSError: the request is too long, or not here in time.
        """
        if not self._left:
            raise ConnectionAbortedError("a request that is too long")
        count = self._timed().recv_into(buffer, min(len(buffer), self._left))
        self._left -= count
        return count

    def write(self, content: Any) -> int:
        """All of it, or OSError."""
        self._timed().sendall(content)
        return len(content)

    def _timed(self) -> socket.socket:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection


class Handler(BaseHTTPRequestHandler):
    """One request. The answer ends the connection."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"

    def __init__(self, conversation: Conversation, known: NicAttributes | None) -> None:
        self._known = known
        super().__init__(cast("Any", conversation), ("", 0), cast("Any", None))

    def setup(self) -> None:
        """The conversation is the file."""
        self.rfile = io.BufferedReader(cast("io.RawIOBase", self.request))
        self.wfile = cast("Any", self.request)

    def do_GET(self) -> None:
        """A request of any path."""
        said = self.headers.get("Content-Length", "0")
        length = int(said) if _LENGTH.fullmatch(said) else MOST_BYTES
        body = self.rfile.read(length)
        if len(body) < length:  # it left, or the body is too long
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        status, document = answer(self.command, self.path, body, self._known)
        content = msgspec.json.encode(document)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        """As GET; ``answer`` tells them apart."""
        self.do_GET()

    def finish(self) -> None:
        """The server closes."""

    def log_message(self, *_: Any) -> None:
        """Log no requests."""
