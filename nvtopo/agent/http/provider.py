"""dranet's provider of attributes on a Unix socket of this machine: what belongs with each NIC.

dranet asks for one device after the other, so one thread serves one connection at a time. Each has a deadline and a
limit, and only root and this process's user can connect.
"""

import contextlib
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

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
_HEAD: Final = re.compile(rb"(?P<method>GET|POST) (?P<path>/[A-Za-z]{0,64}) HTTP/1\.[01]\r?\n(?s:.*?)\r?\n\r?\n")
_LENGTH: Final = re.compile(rb"(?im)^content-length:[ \t]*([0-9]{1,9})[ \t]*\r?$")
_HEALTH, _ATTRIBUTES = "/health", "/GetDeviceAttributes"
_METHODS: Final = {_HEALTH: "GET", _ATTRIBUTES: "POST", "/GetDeviceConfig": "POST"}
_PATHS: Final = {path.encode(): path for path in _METHODS}
_CAPABILITIES: Final = {"cloudProvider": True, "profileProvider": False}


class _Device(msgspec.Struct, frozen=True):
    pci_address: str = ""
    name: str = ""


_DEVICE: Final = Json(_Device, "a device", most_bytes=MOST_BYTES)


class DranetResponse(NamedTuple):
    """What dranet is answered."""

    status: str
    document: Mapping[str, object]


def answer(method: str, path: str, body: bytes, known: NicAttributes | None) -> DranetResponse:
    """What dranet is told; ``known`` is None before the first reading."""
    if path not in _METHODS:
        return DranetResponse("404 Not Found", {"error": f"known paths: {' '.join(_METHODS)}"})
    if method != _METHODS[path]:
        return DranetResponse("405 Method Not Allowed", {"error": f"expected {_METHODS[path]}"})
    if path == _ATTRIBUTES:
        return _attributes(body, known)
    return DranetResponse("200 OK", _CAPABILITIES if path == _HEALTH else {})  # MTU and routes stay what the host has


def _attributes(body: bytes, known: NicAttributes | None) -> DranetResponse:
    try:
        device = _DEVICE.read(body)
    except ParseError as error:
        return DranetResponse("400 Bad Request", {"error": str(error)})
    if known is None:
        return DranetResponse("503 Service Unavailable", {"error": "this node has not been read yet"})
    return DranetResponse("200 OK", known.of(Asked(device.pci_address, device.name)))


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
        until = time.monotonic() + self._seconds
        request = _request(connection, until)
        if request is None:
            return
        method, path, body = request
        status, document = answer(method, path, body, self._attributes())
        content = msgspec.json.encode(document)
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
        connection.settimeout(max(0.01, until - time.monotonic()))
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode() + content)

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


def _request(connection: socket.socket, until: float) -> tuple[str, str, bytes] | None:
    """Method, path and body; None if no whole request came in time, or it is too long."""
    content = bytearray()
    while len(content) <= MOST_BYTES:
        head = _HEAD.match(content)
        if head is not None:
            length = _LENGTH.search(content, 0, head.end())
            end = head.end() + (int(length[1]) if length else 0)
            if len(content) >= end:
                method = "GET" if head["method"] == b"GET" else "POST"
                return method, _PATHS.get(bytes(head["path"]), ""), bytes(content[head.end() : end])
        left = until - time.monotonic()
        if left <= 0:
            return None
        connection.settimeout(left)
        more = connection.recv(MOST_BYTES)
        if not more:
            return None
        content += more
    return None
