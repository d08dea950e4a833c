import pytest

from nvtopo.runtime.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=8, draw=lambda: 0.0)
    assert [backoff.delay() for _ in range(6)] == [0.5, 1, 2, 4, 4, 4]


def test_half_of_a_delay_is_drawn() -> None:
    assert Backoff(first_seconds=1, draw=lambda: 0.5).delay() == pytest.approx(0.75)


def test_what_worked_starts_over() -> None:
    backoff = Backoff(first_seconds=1, draw=lambda: 0.0)
    backoff.delay(), backoff.delay()
    backoff.reset()
    assert backoff.delay() == 0.5


def test_a_delay_is_never_shorter_than_the_server_asked_for() -> None:
    assert Backoff(draw=lambda: 0.0).delay(at_least=9) > 9


def test_failing_for_days_is_no_overflow() -> None:
    backoff = Backoff(longest_seconds=30)
    assert max(backoff.delay() for _ in range(5000)) <= 30
