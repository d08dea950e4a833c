"""A reader of Protocol Buffers' wire format for messages with known fields.

https://protobuf.dev/programming-guides/encoding: a message is a sequence of tags and values, and a tag is the field's
number << 3 | its wire type. Callers skip unknown fields, so a newer sender is understood.
"""

from collections.abc import Iterator

from nvtopo.errors import ParseError
from nvtopo.wire.documents import utf8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT_BYTES = 10
#: Set in every byte of a varint but its last.
_MORE = 0x80
_TWO_63, _TWO_64 = 1 << 63, 1 << 64


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value in the order sent: varints as int64, length-delimited and fixed-size values as bytes.

    Raises:
        ParseError: the message is truncated or malformed.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value - _TWO_64 if value >= _TWO_63 else value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise ParseError(f"message: expected a wire type of proto3, got {wire}")
        if at + size > len(message):
            raise ParseError(f"message: expected {size} bytes of field {number}, got {len(message) - at}")
        yield number, message[at : at + size]
        at += size


def messages(message: bytes, number: int) -> Iterator[bytes]:
    """Each value of a field that holds messages.

    Raises:
        ParseError: as ``fields``, or the field holds something else.
    """
    for found, value in fields(message):
        if found == number:
            if isinstance(value, int):
                raise ParseError(f"message: expected bytes in field {number}, got a number")
            yield value


def texts(message: bytes, number: int) -> list[str]:
    """The values of a field that holds strings.

    Raises:
        ParseError: as ``messages``, or one is not UTF-8.
    """
    return [utf8(value, "message") for value in messages(message, number)]


def text(message: bytes, number: int) -> str:
    """A string, the last one sent; empty if none was sent. Raises ParseError as ``texts``."""
    return (texts(message, number) or [""])[-1]


def number(message: bytes, number: int) -> int:
    """An int64, the last one sent; 0 if none was sent, as in proto3.

    Raises:
        ParseError: as ``fields``, or the field holds something else.
    """
    last = 0
    for found, value in fields(message):
        if found == number:
            if not isinstance(value, int):
                raise ParseError(f"message: expected a number in field {number}, got bytes")
            last = value
    return last


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number below 2^64, and where it ends."""
    value = 0
    for count, byte in enumerate(message[at : at + _LONGEST_VARINT_BYTES]):
        value |= (byte % _MORE) << (7 * count)
        if byte < _MORE:
            return value % _TWO_64, at + count + 1
    raise ParseError("message: expected a number, got its beginning")
