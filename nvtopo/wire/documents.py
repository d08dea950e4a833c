"""JSON that others wrote → records, from a wire, a child process or a file.

Whatever the bytes are (no UTF-8, 100,000 levels deep, numbers of 5,000 digits, lone surrogates, values of another type,
too long), a reader raises ``ParseError`` with one printable line and nothing else.
"""

import re
from typing import Final, Generic, TypeVar

import msgspec

from nvtopo.errors import ParseError
from nvtopo.model.formats import limits
from nvtopo.model.formats.printable import printable

T = TypeVar("T")

Bytes = bytes | bytearray | memoryview | msgspec.Raw

#: A list of 500 NodeTopologies has 4 MB, a graph of 10,000 nodes 30 MB.
MOST_BYTES: Final = 64 << 20
_LONGEST_REASON: Final = 200
#: No record of ours nests a third as deep: what is cut here stands in a field that is not read, or is of another type.
_DEEPEST: Final = 64
#: What looks for depth makes 10 MB a second of its input, so it is for what can be an object of the API server.
_MOST_SCANNED_BYTES: Final = 4 << 20
_MOST_LEVELS: Final = 1 << 18
# Few documents need these patterns, which are compiled by their first use.
#: A string without an end is one to the end of the document: to look for its end again from each quote in it would take
#: hours.
_STRUCTURE: Final = rb'(?s)"(?:[^"\\]++|\\.)*+"?|[\[{]+|[\]}]+'
_OPENING: Final = b"[{"
_QUOTE: Final = b'"'
_NO_STRING: Final = b'"\xff"'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
#: What JSON has, as far as that can be seen without decoding; then, by itself, a string or word that may be none.
_PARTS: Final = (
    rb'(?s)((?:[\s\[\]{},:]++|"[^"\\\x00-\x1f]*+(?:"|\Z)|(?:true|false|null|' + _NUMBER + rb')(?=[\s\[\]{}",:]|\Z))++)'
    rb'|"(?:[^"\\]++|\\.)*+"?|[^\s\[\]{}",:]++'
)
_STRING: Final = msgspec.json.Decoder(str)


class Json(Generic[T]):
    """Reads JSON documents of one kind. Usable from several threads at once."""

    def __init__(self, kind: type[T], expected: str, *, most_bytes: int = MOST_BYTES, has_raw: bool = False) -> None:
        """``expected`` names the kind in messages: "a Pod".

        With ``has_raw``, a string that is no Unicode, and a word that is no JSON, such as NaN, cost the raw value that
        they are in, and not the document.
        """
        self._decoder = msgspec.json.Decoder(kind)
        self._expected = expected
        self._most_bytes = most_bytes
        self._has_raw = has_raw

    def read(self, content: Bytes, subject: str = "") -> T:
        """The document; fields that the kind does not have are skipped, however deep they are.

        Raises:
            ParseError: it is no such document; the message begins with ``subject``.
        """
        size = memoryview(content).nbytes
        if size > self._most_bytes:
            raise self._error(subject, f"{size} bytes, which is more than {self._most_bytes}")
        try:
            return self._decoder.decode(content)
        except RecursionError as error:
            if size > _MOST_SCANNED_BYTES and not self._has_raw:
                raise self._error(subject, reason(error)) from error
            return self._again(_cut(bytes(content)), subject, f"values nested deeper than {_DEEPEST} levels; ")
        except msgspec.ValidationError as error:
            raise self._error(subject, reason(error)) from error
        except ValueError as error:
            if self._has_raw:
                return self._again(_marked(bytes(content)), subject, "")
            raise self._error(subject, reason(error)) from error

    def _again(self, content: bytes, subject: str, why: str) -> T:
        """Without what is nested so deep that nothing of ours is there, or with what is no string marked as such."""
        try:
            return self._decoder.decode(content)
        except (ValueError, RecursionError) as error:
            raise self._error(subject, f"{why}{reason(error)}") from error

    def _error(self, subject: str, why: str) -> ParseError:
        return ParseError(
            f"{subject}: expected {self._expected}: {why}" if subject else f"expected {self._expected}: {why}"
        )


ANY: Final = Json(object, "JSON")
"""Any JSON document, as dicts, lists and values."""


def utf8(content: Bytes, subject: str) -> str:
    """The text.

    Raises:
        ParseError: it is not UTF-8.
    """
    try:
        return bytes(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"{subject}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What a decoder said, in one printable line that is not long."""
    if isinstance(error, UnicodeDecodeError):
        return f"bytes that are not {error.encoding.upper()} at offset {error.start}"
    if isinstance(error, RecursionError):
        return "values nested too deep"
    return one_line(limits.in_words(str(error)))


def one_line(text: str) -> str:
    """``text`` with its line ends folded, without control characters, cut to what a log line bears."""
    return printable(" ".join(text[: 8 * _LONGEST_REASON].split()))[:_LONGEST_REASON]


def _marked(content: bytes) -> bytes:
    """The document with bytes that are no UTF-8 for each string and word that is none: who reads that value minds."""
    return re.sub(_PARTS, lambda match: match[0] if match[1] or _is_string(match[0]) else _NO_STRING, content)


def _is_string(token: bytes) -> bool:
    try:
        _STRING.decode(token)
    except ValueError:
        return False
    return True


def _cut(content: bytes) -> bytes:
    """The document with ``null`` for each array and object below ``_DEEPEST`` levels, found without recursion."""
    kept: list[bytes] = []
    depth, kept_to = 0, 0
    for match in re.finditer(_STRUCTURE, content):
        token = match[0]
        if token[:1] == _QUOTE:
            continue
        if token[0] in _OPENING:
            if depth <= _DEEPEST < depth + len(token):
                kept += content[kept_to : match.start() + _DEEPEST - depth], b"null"
            depth += len(token)
            if depth > _MOST_LEVELS:
                break
            continue
        if depth - len(token) <= _DEEPEST < depth:
            kept_to = match.start() + depth - _DEEPEST
        depth -= len(token)
        if depth < 0:
            break
    return b"".join((*kept, content[kept_to:] if depth <= _DEEPEST else b""))
