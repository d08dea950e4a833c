"""Netlink: questions to the kernel, and the framing of its messages (docs/decisions/0013)."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

_REQUEST, _DUMP = 1, 0x300
_ERROR, _DONE = 2, 3
#: length, type, flags, sequence, port
_HEADER: Final = struct.Struct("=IHHII")
#: length, type
_ATTRIBUTE: Final = struct.Struct("=HH")
_CODE: Final = struct.Struct("=i")
#: The kernel's MAX_ERRNO.
_MOST_ERRNO: Final = 4095
_TYPE_MASK: Final = 0x3FFF
_LARGEST_ANSWER_BYTES: Final = 1 << 18

Attributes = list[tuple[int, memoryview]]


class Netlink:
    """One netlink socket. Raises TimeoutError if an answer is late, and OSError if the kernel refuses."""

    def __init__(self, protocol: int, seconds: float) -> None:
        """``seconds`` limits the wait for each datagram of an answer.

        Raises:
            OSError: the kernel has no such protocol.
        """
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.settimeout(seconds)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._socket.close()

    def dump(self, kind: int, body: bytes) -> Iterator[memoryview]:
        """The payloads of a dump: everything of this kind that the kernel has."""
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _DUMP, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            for answer, sequence, payload in messages(memoryview(self._socket.recv(_LARGEST_ANSWER_BYTES))):
                if sequence != self._sequence:
                    continue  # the rest of an earlier answer
                if answer in (_DONE, _ERROR):
                    _raise_for(payload)
                    return
                yield payload

    def ask(self, kind: int, body: bytes) -> memoryview:
        """The payload of the one message that answers a question."""
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, self._sequence, 0) + body)
        while True:
            for answer, sequence, payload in messages(memoryview(self._socket.recv(_LARGEST_ANSWER_BYTES))):
                if sequence != self._sequence:
                    continue
                if answer == _ERROR:
                    _raise_for(payload)
                return payload


def _raise_for(payload: memoryview) -> None:
    """Raise OSError if the message at a dump's end, or an error message, holds a negative errno; EPROTO for another."""
    (code,) = _CODE.unpack_from(payload) if len(payload) >= _CODE.size else (0,)
    if not -_MOST_ERRNO <= code <= 0:
        raise OSError(errno.EPROTO, f"netlink: expected a negative errno, got {code}")
    if code:
        raise OSError(-code, os.strerror(-code))


def messages(datagram: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Type, sequence number and payload of each message.

    Raises:
        OSError: EPROTO, the datagram is malformed.
    """
    while datagram:
        if len(datagram) < _HEADER.size:
            raise OSError(errno.EPROTO, f"netlink: {len(datagram)} bytes after the last message")
        length, kind, _, sequence, _ = _HEADER.unpack_from(datagram)
        if not _HEADER.size <= length <= len(datagram):
            raise OSError(errno.EPROTO, f"netlink: a message of {length} bytes in {len(datagram)}")
        yield kind, sequence, datagram[_HEADER.size : length]
        datagram = datagram[_aligned(length) :]


def attributes(payload: memoryview) -> Attributes:
    """Type and value of each attribute.

    Raises:
        OSError: EPROTO, the payload is malformed.
    """
    found = []
    while len(payload) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(payload)
        if not _ATTRIBUTE.size <= length <= len(payload):
            raise OSError(errno.EPROTO, f"netlink: an attribute of {length} bytes in {len(payload)}")
        found.append((kind & _TYPE_MASK, payload[_ATTRIBUTE.size : length]))
        payload = payload[_aligned(length) :]
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, encoded and padded for the kernel."""
    padding = bytes(_aligned(len(value)) - len(value))
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + padding


def _aligned(length: int) -> int:
    return length + 3 & ~3
