"""The kubelet plugin: registration, the DRA service and the health of devices, on one Unix socket.

grpcio serves them; ``messages`` reads and writes what they say.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc

from nvtopo.dra import messages
from nvtopo.dra.health_board import HealthBoard
from nvtopo.dra.messages import Claim, Prepared
from nvtopo.errors import ParseError, ReadError

logger = logging.getLogger(__name__)

#: The kubelet keeps one health stream open, and takes an answer for stale after so long.
_VALID_SECONDS: Final = 90
_RESEND_SECONDS: Final = 25.0
_MOST_STREAMS: Final = 4
_WORKERS: Final = 4
_LARGEST_MESSAGE_BYTES: Final = 1 << 20
_STOP_SECONDS: Final = 1.0
_OPTIONS: Final = (("grpc.max_receive_message_length", _LARGEST_MESSAGE_BYTES), ("grpc.so_reuseport", 0))

Registered = Callable[[bool, str], None]
DevicesOf = Callable[[Claim], tuple[Prepared, ...]]


class Plugin:
    """Serves while it is open."""

    def __init__(
        self,
        socket: Path,
        driver: str,
        *,
        registered: Registered,
        devices_of: DevicesOf,
        board: HealthBoard,
    ) -> None:
        """``registered`` is told what the kubelet made of the plugin, and ``devices_of`` must not raise."""
        self._socket = socket
        self._driver = driver
        self._registered = registered
        self._devices_of = devices_of
        self._board = board
        self._streams = threading.BoundedSemaphore(_MOST_STREAMS)
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            ReadError: the socket can't be made.
        """
        self._server = grpc.server(ThreadPoolExecutor(_WORKERS + _MOST_STREAMS, "plugin"), options=_OPTIONS)
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        services = {
            messages.REGISTRATION: {
                "GetInfo": unary(self._get_info),
                "NotifyRegistrationStatus": unary(self._notify),
            },
            messages.PLUGIN: {
                "NodePrepareResources": unary(self._prepare),
                "NodeUnprepareResources": unary(self._unprepare),
            },
            messages.HEALTH: {"NodeWatchResources": stream(self._watch)},
        }
        self._server.add_generic_rpc_handlers(
            tuple(grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items())
        )
        try:
            self._socket.unlink(missing_ok=True)
            self._server.add_insecure_port(f"unix:{self._socket}")
        except (OSError, RuntimeError) as error:
            raise ReadError(f"{self._socket}: no socket can be made: {error}") from error
        self._server.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._ended.set()
        self._board.wake()
        self._server.stop(_STOP_SECONDS).wait()
        self._socket.unlink(missing_ok=True)

    def _get_info(self, _request: bytes, _context: Any) -> bytes:
        return messages.plugin_info(self._driver)

    def _notify(self, request: bytes, context: Any) -> bytes:
        self._registered(*_read(messages.registration, request, context))
        return b""

    def _prepare(self, request: bytes, context: Any) -> bytes:
        claims = _read(messages.claims, request, context)
        return messages.answers({claim.uid: self._devices_of(claim) for claim in claims})

    @staticmethod
    def _unprepare(request: bytes, context: Any) -> bytes:
        return messages.answers({claim.uid: () for claim in _read(messages.claims, request, context)})

    def _watch(self, _request: bytes, context: Any) -> Iterator[bytes]:
        """The health of all devices at once, when it changes, and again before the kubelet takes it for stale."""
        if not self._streams.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"at most {_MOST_STREAMS} streams")
        try:
            context.add_callback(self._board.wake)
            seen = self._board.now
            while context.is_active() and not self._ended.is_set():
                if seen.devices is not None:
                    yield messages.health(seen.devices, int(time.time()), _VALID_SECONDS)
                seen = self._board.after(seen.number, _RESEND_SECONDS)
        finally:
            self._streams.release()


def _read(read: Callable[[bytes], Any], request: bytes, context: Any) -> Any:
    """The request; a malformed one is refused."""
    try:
        return read(request)
    except ParseError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        raise
