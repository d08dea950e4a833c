"""One unary gRPC call over a unix socket: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.

h2 speaks HTTP/2; gRPC adds five bytes before the message and a status in the trailers. grpcio would take 7 MiB and
start threads for the same.
"""

import socket
import time
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from nvtopo.errors import ReadError
from nvtopo.wire.documents import one_line

_LARGEST_ANSWER_BYTES: Final = 16 << 20
_PIECE_BYTES: Final = 1 << 16
#: A flag for compression, and the message's length.
_PREFIX_BYTES: Final = 5


def call(connection: socket.socket, method: str, request: bytes, seconds: float) -> bytes:
    """The answer's message; ``method`` is ``/package.Service/Method``. The connection can't be used again.

    Raises:
        ReadError: no answer came within ``seconds``, or the server refused.
    """
    deadline = time.monotonic() + seconds
    try:
        return _Call(connection, deadline).answer(method, request)
    except TimeoutError as error:
        raise ReadError(f"no answer within {seconds:g} s") from error
    except OSError as error:
        raise ReadError(error.strerror or str(error)) from error
    except h2.exceptions.ProtocolError as error:
        raise ReadError(one_line(f"expected HTTP/2: {error}")) from error


class _Call:
    """One connection with one stream."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._socket = connection
        self._deadline = deadline
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._body = b""
        self._headers: dict[str, str] = {}

    def answer(self, method: str, request: bytes) -> bytes:
        self._http.initiate_connection()
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(stream, _headers(method))
        self._http.send_data(stream, b"\0" + len(request).to_bytes(4, "big") + request, end_stream=True)
        self._send()
        while not self._ended(self._receive()):
            self._send()
        return self._message()

    def _send(self) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(self._http.data_to_send())

    def _receive(self) -> list[h2.events.Event]:
        self._socket.settimeout(self._left())
        piece = self._socket.recv(_PIECE_BYTES)
        if not piece:
            raise ReadError("the server closed the connection before its answer")
        return self._http.receive_data(piece)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _ended(self, events: list[h2.events.Event]) -> bool:
        """Process these events; return whether the stream has ended."""
        ended = False
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self._take(event)
            elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                self._headers |= {_text(name): _text(value) for name, value in event.headers}
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                raise ReadError(f"the server broke off: HTTP/2 error {event.error_code}")
            ended = ended or isinstance(event, h2.events.StreamEnded)
        return ended

    def _take(self, event: h2.events.DataReceived) -> None:
        self._body += event.data
        if len(self._body) > _LARGEST_ANSWER_BYTES:
            raise ReadError(f"an answer of more than {_LARGEST_ANSWER_BYTES >> 20} MiB")
        if event.flow_controlled_length:
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def _message(self) -> bytes:
        status = self._headers.get("grpc-status")
        if status != "0":
            words = self._headers.get("grpc-message") or f"HTTP {self._headers.get(':status')}"
            raise ReadError(one_line(f"gRPC status {status}: {words}"))
        length = int.from_bytes(self._body[1:_PREFIX_BYTES], "big")
        if self._body[:1] != b"\0" or len(self._body) != _PREFIX_BYTES + length:
            raise ReadError(f"expected one plain message, got {len(self._body)} bytes of something else")
        return self._body[_PREFIX_BYTES:]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _headers(method: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
