"""One connection, which does not block until its request's head is complete: the handshake of TLS, and the head."""

import contextlib
import re
import socket
import ssl
import struct
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

#: Request line and headers together; a service account's token is a kibibyte.
LARGEST_HEAD_BYTES: Final = 16 << 10

_RESET: Final = struct.pack("ii", 1, 0)
_END: Final = re.compile(rb"\n\r?\n")
_END_BYTES: Final = 3


class Progress(Enum):
    """What a connection is at after what it sent was read."""

    READ = auto()
    """It has to send more."""
    WRITE = auto()
    """The handshake has to send more."""
    COMPLETE = auto()
    """The head is complete."""
    TOO_LONG = auto()
    """The head is longer than it may be."""
    OVER = auto()
    """It is closed, or speaks no TLS."""


class Visit:
    """A connection that does not block until its head is complete."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext | None, address: tuple[str, int]) -> None:
        """``context`` of TLS; None for plain HTTP."""
        connection.settimeout(0)
        self.connection = connection
        self.address = address
        self.head = bytearray()
        self.asked_at: float | None = None
        """When its head was complete, in monotonic seconds."""
        self.watched = 0
        """The selector's events that it is registered for."""
        self.drop: Callable[[], None] = self.shut
        """Ends it, from any thread, while another one may wait for it."""
        self._shaking_hands = context is not None
        if context is not None:
            self.connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)

    def advance(self) -> Progress:
        """Read what is there."""
        try:
            if self._shaking_hands and isinstance(self.connection, ssl.SSLSocket):
                self.connection.do_handshake()
                self._shaking_hands = False
            return self._read()
        except (BlockingIOError, ssl.SSLWantReadError):
            return Progress.READ
        except ssl.SSLWantWriteError:
            return Progress.WRITE
        except (OSError, ValueError):  # ValueError: of a TLS connection that has ended
            return Progress.OVER

    def began(self) -> Progress:
        """Whether anything is there, which stays there: COMPLETE."""
        try:
            return Progress.COMPLETE if self.connection.recv(1, socket.MSG_PEEK) else Progress.OVER
        except BlockingIOError:
            return Progress.READ
        except OSError:
            return Progress.OVER

    def shut(self) -> None:
        """What waits for the connection fails at once; what was not sent yet is forgotten."""
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)  # not SSLSocket's, which is for its own thread

    def close(self) -> None:
        """What is written still arrives."""
        with contextlib.suppress(OSError, ValueError):
            self.connection.shutdown(socket.SHUT_WR)
        self.connection.close()

    def _read(self) -> Progress:
        while len(self.head) <= LARGEST_HEAD_BYTES:
            content = self.connection.recv(LARGEST_HEAD_BYTES)
            if not content:
                return Progress.OVER
            seen = max(0, len(self.head) - _END_BYTES)
            self.head += content
            if (end := _END.search(self.head, seen)) and end.end() <= LARGEST_HEAD_BYTES:
                return Progress.COMPLETE
        return Progress.TOO_LONG


def path_of(visit: Visit) -> bytes:
    """The target of the request, its query left out; empty if there is none."""
    words = visit.head.split(b"\n", 1)[0].split()
    return bytes(words[1]).partition(b"?")[0] if len(words) > 1 else b""
