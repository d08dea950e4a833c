"""Lines of the log: one JSON object each, bounded in length and in number."""

import io
import json
import logging
import sys

import pytest

from nvtopo.telemetry import (
    BURST_LINES,
    SECONDS_PER_LINE,
    JsonFormatter,
    LineLimit,
    TextFormatter,
    log_to_stderr,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def record(message: str = "cannot read", logger: str = "nvtopo.agent") -> logging.LogRecord:
    return logging.LogRecord(logger, logging.WARNING, "", 0, message, None, None)


def test_what_flaps_a_thousand_times_a_second_is_a_few_lines() -> None:
    clock = Clock()
    limit = LineLimit(clock)
    written = []
    for number in range(10_000):
        clock.now = 1000.0 + number / 1000
        one = record()
        if limit.filter(one):
            written.append(one)
    assert len(written) <= BURST_LINES + 2
    assert written[BURST_LINES - 1].__dict__["moreLeftOut"] is True
    clock.now += 3600
    after = record()
    assert limit.filter(after)
    left_out = sum(one.__dict__.get("leftOut", 0) for one in (*written, after))
    assert left_out == 10_000 - len(written)


def test_a_line_now_and_then_is_always_written() -> None:
    clock = Clock()
    limit = LineLimit(clock)
    for _ in range(1000):
        clock.now += SECONDS_PER_LINE
        one = record()
        assert limit.filter(one)
        assert not {"leftOut", "moreLeftOut"} & one.__dict__.keys()


def test_one_message_takes_nothing_from_another() -> None:
    limit = LineLimit(Clock())
    assert sum(limit.filter(record()) for _ in range(1000)) == BURST_LINES
    assert limit.filter(record("leadership"))
    assert limit.filter(record(logger="nvtopo.kube"))


def test_messages_that_are_no_constants_share_a_limit_at_last() -> None:
    limit = LineLimit(Clock())
    written = sum(limit.filter(record(f"failed {number}", "urllib3.pool")) for number in range(20_000))
    assert written < 1200
    assert limit.filter(record()) or written


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "a\nb", "\u202e", "\ud800", "x" * 100_000])
def test_a_line_is_one_line_of_plain_ascii(text: str) -> None:
    one = record()
    one.reason = text
    line = JsonFormatter().format(one)
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 9000
    assert json.loads(line)["reason"][:2] == text[:2]


def test_people_read_the_facts_behind_the_message_and_no_cursor_moves() -> None:
    one = record("finding")
    one.__dict__.update({"nodes": ("a", "b"), "reason": "odd\x1b[2J", "empty": ""})
    line = TextFormatter().format(one)
    assert line.partition(" ")[2] == "warning: finding: nodes=a, b, reason=odd\ufffd[2J"


def test_what_others_wrote_makes_no_line_of_its_own() -> None:
    one = record("finding")
    one.__dict__["reason"] = "odd\n12:30:05 error: another line"
    error = ValueError("odd\x1b[2J")
    error.add_note("the second line of a traceback")
    one.exc_info = (ValueError, error, None)
    first, second = TextFormatter().format(one).splitlines()
    assert first.endswith("reason=odd\ufffd12:30:05 error: another line: ValueError: odd\ufffd[2J")
    assert second == "the second line of a traceback"


@pytest.mark.parametrize(
    ("form", "terminal", "text"),
    [("auto", True, True), ("auto", False, False), ("text", False, True), ("json", True, False)],
)
def test_a_terminal_gets_text_and_a_pipe_json(
    form: str, *, terminal: bool, text: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        log_to_stderr("WARNING", form)
        logging.getLogger("nvtopo.test").info("left out")
        logging.getLogger("nvtopo.test").warning("seen", extra={"node": "a"})
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.startswith("{") is not text
    assert ("warning: seen: node=a" in written) is text
