"""The answer to a watch: one line for each event, for as long as it lasts, and how to end it from outside."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from nvtopo.errors import ApiError, ParseError
from nvtopo.kube.refusal import unanswered, watch_refusal
from nvtopo.runtime.line_buffer import LineBuffer, LineTooLong
from nvtopo.wire.documents import Json, one_line

#: How soon the thread beside a watch notices that the watch has ended. Stopping does not wait for it.
_WATCH_OVER_SECONDS: Final = 0.5
_CHUNK: Final = 1 << 16
#: etcd holds objects of 1.5 MiB.
_LONGEST_EVENT_BYTES: Final = 16 << 20


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
    object: msgspec.Raw


_WATCH_EVENT: Final = Json(WatchEvent, "an event", has_raw=True)


def events(path: str, response: Any, stop: threading.Event) -> Iterator[WatchEvent]:
    """The events of a watch on ``path``, until the server ends it or ``stop`` is set.

    Raises:
        ApiError: the server said so in the stream, or the connection broke.
        ParseError: a line is no event.
    """
    for line in _lines(f"watch {path}", response, stop):
        yield _event(path, line)


def _lines(what: str, response: Any, stop: threading.Event) -> Iterator[bytes]:
    """Whole lines as they come. A last one that was cut is dropped: the next watch brings it again."""
    buffer = LineBuffer(_LONGEST_EVENT_BYTES)
    try:
        with unanswered(what):
            for chunk in response.stream(_CHUNK):
                yield from (line for line in buffer.take(chunk) if line.strip())
    except LineTooLong as error:
        raise ParseError(
            f"{what}: expected an event, got a line of more than {_LONGEST_EVENT_BYTES >> 20} MiB"
        ) from error
    except (ApiError, ValueError):  # ValueError: what TLS raises when it is shut down while being read
        if not stop.is_set():
            raise


def _event(path: str, line: bytes) -> WatchEvent:
    try:
        event = _WATCH_EVENT.read(line)
    except ParseError as error:
        raise ParseError(one_line(f"watch {path}: {error}, got {line[:80]!r}")) from error
    if event.type == "ERROR":
        raise watch_refusal(f"watch {path}", bytes(event.object))
    return event


@contextlib.contextmanager
def ended_by(stop: threading.Event, response: Any) -> Iterator[None]:
    """Ends the stream once ``stop`` is set. The reader is blocked in ``recv``, so another thread has to do it."""
    over = threading.Event()

    def end() -> None:
        while not over.is_set():
            if stop.wait(_WATCH_OVER_SECONDS):
                with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
                    response.shutdown()
                return

    threading.Thread(target=end, name="nvtopo-watch-end", daemon=True).start()
    try:
        yield
    finally:
        over.set()
