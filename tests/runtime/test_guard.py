"""What one subject causes stays with it: a reason in one line, a trace in the log once, and whoever calls goes on."""

import logging

import pytest

from nvtopo.errors import reason_of
from nvtopo.runtime.guard import Failed, Guard


def fails(error: Exception) -> str:
    raise error


def test_what_a_call_returns_is_handed_on() -> None:
    assert Guard().call("node-a", "stage", lambda: 5) == 5


def test_what_a_call_raises_is_a_reason_in_one_line() -> None:
    found = Guard().call("node-a", "stage", lambda: fails(ValueError("list: expected\nnumbers")))
    assert found == Failed("list: expected numbers")


def test_a_bug_is_logged_once_for_each_subject_and_kind(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()
    for subject in ("node-a", "node-a", "node-b"):
        assert guard.call(subject, "derive", lambda: fails(KeyError(5))) == Failed("a bug in nvtopo: KeyError: 5")
    guard.call("node-a", "derive", lambda: fails(TypeError()))
    guard.call("node-a", "status", lambda: fails(TypeError()))
    said = [(record.__dict__["subject"], record.__dict__["stage"]) for record in caplog.records]
    assert said == [("node-a", "derive"), ("node-b", "derive"), ("node-a", "derive"), ("node-a", "status")]
    assert all(record.exc_info for record in caplog.records)


def test_a_refusal_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    Guard().call("node-a", "decode", lambda: fails(ValueError("expected a list")))
    Guard((KeyError,)).call("node-a", "decode", lambda: fails(KeyError("x")))
    assert caplog.records == []


def test_a_reason_is_short() -> None:
    assert len(reason_of(ValueError("x" * 100_000))) == 300


def test_who_ends_the_process_is_let_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        Guard().call("node-a", "stage", lambda: fails(KeyboardInterrupt()))  # type: ignore[arg-type]
