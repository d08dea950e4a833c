"""The answer to a watch: one line for each event, for as long as it lasts, and how to end it from outside."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from nvtopo.errors import ApiError, ParseError
from nvtopo.kube.refusal import one_line, unanswered, watch_refusal

#: How soon the thread beside a watch notices that the watch has ended. Stopping does not wait for it.
_WATCH_OVER_SECONDS: Final = 0.5
_CHUNK: Final = 1 << 16


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
    object: msgspec.Raw


_WATCH_EVENT: Final = msgspec.json.Decoder(WatchEvent)


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
    rest = b""
    try:
        with unanswered(what):
            for chunk in response.stream(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line for line in lines if line.strip())
    except (ApiError, ValueError):  # ValueError: what TLS raises when it is shut down while being read
        if not stop.is_set():
            raise


def _event(path: str, line: bytes) -> WatchEvent:
    try:
        event = _WATCH_EVENT.decode(line)
    except msgspec.MsgspecError as error:
        raise ParseError(one_line(f"watch {path}: expected an event, got {line[:80]!r}: {error}")) from error
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
