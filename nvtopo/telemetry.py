"""Logs on standard error: a constant message, facts beside it. JSON lines for programs, plain ones on a terminal."""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

#: Lines of one message that may come at once: a node has at most some hundred devices that fail together.
BURST_LINES: Final = 60
SECONDS_PER_LINE: Final = 10.0
"""Between lines of one message that never stops."""
_MOST_MESSAGES: Final = 1024
_LONGEST_KEY: Final = 200
_LONGEST_VALUE: Final = 8000

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and whatever ``extra`` had."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: _cut(value) for name, value in line.items()}, default=str)


class TextFormatter(logging.Formatter):
    """``12:30:05 warning: does not fit: kind=place-claimed, nodes=a, b``: for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a character that could move a cursor is replaced. Only a traceback has line ends of its own."""
        facts = {name: _cut(value) for name, value in vars(record).items() if name not in _STANDARD}
        said = ", ".join(f"{name}={_plain(value)}" for name, value in facts.items() if value not in (None, "", ()))
        at = datetime.fromtimestamp(record.created).astimezone()
        line = _shown(f"{at:%H:%M:%S} {record.levelname.lower()}: {record.getMessage()}{f': {said}' if said else ''}")
        if record.exc_info:
            line += ": " + _shown(self.formatException(record.exc_info), keep="\n")
        return line


class LineLimit(logging.Filter):
    """Lets through a burst of lines with one message, and after that one every few seconds, which counts the others.

    What flaps a thousand times a second is not a thousand lines.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: dict[tuple[str, str], float] = {}
        """Logger and message → until when its lines so far are paid for."""
        self._left_out: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; the fields ``leftOut`` and ``moreLeftOut`` say what is not."""
        with self._lock:
            now, key = self._clock(), self._key(record)
            spent = max(self._spent.get(key, 0.0), now) + SECONDS_PER_LINE
            allowed = spent <= now + BURST_LINES * SECONDS_PER_LINE
            if not allowed:
                self._left_out[key] = self._left_out.get(key, 0) + 1
                return False
            self._spent[key] = spent
            if left_out := self._left_out.pop(key, 0):
                record.leftOut = left_out
            if spent + SECONDS_PER_LINE > now + BURST_LINES * SECONDS_PER_LINE:
                record.moreLeftOut = True
            return True

    def _key(self, record: logging.LogRecord) -> tuple[str, str]:
        """Our messages are constants; of a library that writes others, all lines count as one."""
        key = (record.name, str(record.msg)[:_LONGEST_KEY])
        return key if key in self._spent or len(self._spent) < _MOST_MESSAGES else (record.name.partition(".")[0], "")


def _cut(value: object) -> object:
    too_long = isinstance(value, str) and len(value) > _LONGEST_VALUE
    return f"{value[:_LONGEST_VALUE]} …" if too_long and isinstance(value, str) else value


def _shown(text: str, keep: str = "") -> str:
    return "".join(one if one.isprintable() or one in keep else "\ufffd" for one in text)


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)


def log_to_stderr(level: str = "INFO", form: str = "json") -> None:
    """Send every log of this process to standard error: as ``json``, as ``text``, or ``auto``: text on a terminal."""
    text = form == "text" or (form == "auto" and sys.stderr is not None and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    handler.addFilter(LineLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)
