import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from nvtopo.runtime.call_guard import CallGuard, CallTimedOut


@pytest.fixture
def stuck() -> Iterator[Callable[[], str]]:
    """A call that comes back when the test is over."""
    over = threading.Event()

    def wait() -> str:
        over.wait(60)
        return "late"

    yield wait
    over.set()


def test_what_returns_is_returned() -> None:
    call_guard = CallGuard[str](60)
    assert call_guard.call("mlx5_0", lambda: "now") == "now"
    assert call_guard.call("mlx5_0", lambda: "again") == "again"


def test_what_fails_fails_for_the_caller() -> None:
    call_guard = CallGuard[int](60)
    with pytest.raises(ZeroDivisionError):
        call_guard.call("mlx5_0", lambda: 1 // 0)
    assert call_guard.call("mlx5_0", lambda: 1) == 1


def test_what_hangs_is_waited_for_once(stuck: Callable[[], str]) -> None:
    call_guard = CallGuard[str](0.1)
    with pytest.raises(CallTimedOut):
        call_guard.call("mlx5_0", stuck)
    began, threads = time.monotonic(), threading.active_count()
    for _ in range(100):
        with pytest.raises(CallTimedOut):
            call_guard.call("mlx5_0", lambda: pytest.fail("asked while it hangs"))
    assert time.monotonic() - began < 5, "no hundred waits"
    assert threading.active_count() == threads
    assert call_guard.call("mlx5_1", lambda: "now") == "now", "another one answers"


def test_what_came_back_is_asked_again() -> None:
    call_guard, over, back = CallGuard[str](0.1), threading.Event(), threading.Event()

    def late() -> str:
        over.wait(60)
        back.set()
        return "late"

    with pytest.raises(CallTimedOut):
        call_guard.call("mlx5_0", late)
    over.set()
    assert back.wait(60)
    for thread in threading.enumerate():
        if thread.name == "call guard mlx5_0":
            thread.join(60)
    assert call_guard.call("mlx5_0", lambda: "now") == "now", "the late answer is nobody's"


def test_one_thread_asks_all_and_another_goes_on_behind_one_that_hangs(stuck: Callable[[], str]) -> None:
    call_guard, asked = CallGuard[str](0.1), list[str]()

    def ask(name: str) -> Callable[[], str]:
        def answer() -> str:
            asked.append(name)
            return threading.current_thread().name

        return answer

    names = ["a", "b", "c", "d", "e"]
    first = call_guard.each({name: ask(name) for name in names})
    assert (asked, first.hanging, len(set(first.by_subject.values()))) == (names, (), 1)
    answers = call_guard.each({name: stuck if name in "bd" else ask(name) for name in names})
    assert answers.hanging == ("b", "d")
    assert list(answers.by_subject) == ["a", "c", "e"]
    assert list(call_guard.each({name: ask(name) for name in names}).by_subject) == ["a", "c", "e"]


@pytest.mark.slow
def test_many_slow_ones_are_not_one_that_hangs() -> None:
    call_guard, never = CallGuard[bool](0.5), threading.Event()
    answers = call_guard.each({str(number): partial(never.wait, 0.1) for number in range(12)})
    assert answers.by_subject == {str(number): False for number in range(12)}
