"""``nvtopo accept``: what users type, and what they get if it is wrong. tests/kube has it with a real API server."""

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from nvtopo.cli import main
from nvtopo.cli.accept import end_of
from nvtopo.errors import UsageError

_NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30m", datetime(2026, 11, 28, 12, 30, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 29, tzinfo=UTC)),
        ("7d", datetime(2026, 12, 5, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00Z", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
    ],
)
def test_an_end_is_a_moment_or_a_duration(text: str, end: datetime) -> None:
    assert end_of(text, _NOW) == end


@pytest.mark.parametrize("text", ["", "soon", "0h", "-1h", "999999w9", "2026-11-28T12:00:00Z", "2020-01-01", "9" * 400])
def test_what_is_no_end_in_the_future_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--until: expected"):
        end_of(text, _NOW)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "expected nodes, --shape or --all, one of them"),
        (("n", "--all"), "expected nodes, --shape or --all, one of them"),
        (("n", "--revoke", "--until", "1h"), "--revoke takes no --until"),
        (("n", "--reason", "two\nlines"), "--reason: expected one line"),
        (("n", "--reason", "x" * 300), "--reason: expected one line of at most 256"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_asked(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(main, ["accept", *arguments])
    assert isinstance(result.exception, UsageError)
    assert says in str(result.exception)
