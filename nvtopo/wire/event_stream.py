"""Server-sent events from lines of bytes, as the HTML standard has them."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nvtopo.errors import ParseError
from nvtopo.wire.documents import MOST_BYTES


class Message(NamedTuple):
    """One event."""

    event: str
    """Its name; ``message`` if it has none."""
    id: str
    """Of the latest event that had one, up to this."""
    data: bytes


def messages(lines: Iterable[bytes], last_id: str = "") -> Iterator[Message]:
    """The events of a stream, each when its blank line came. Comments, which keep a connection alive, are skipped.

    Raises:
        ParseError: an event is longer than any that an aggregator sends.
    """
    event, data, size = "", list[bytes](), 0
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        if not line:
            if data:
                yield Message(event or "message", last_id, b"\n".join(data))
            event, data, size = "", [], 0
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        size += len(line)
        if size > MOST_BYTES:
            raise ParseError(f"expected events of at most {MOST_BYTES >> 20} MiB, got more")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
