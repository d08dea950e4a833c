"""Work that is done once for all who wait: whose result counts for whom, its rest, and who gives up."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nvtopo.runtime.shared_work import GivenUp, SharedWork


class Work:
    """Takes as long as the test says; its results are numbered."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.count = 0
        self.shared: SharedWork[int] = SharedWork(self._do, lambda: self.now)

    def _do(self) -> int:
        self.count += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=10)
        return self.count


def test_who_asks_meanwhile_shares_the_next_one() -> None:
    work = Work()
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(work.shared.get)
        assert work.begun.acquire(timeout=10)
        work.now = 1.0
        others = [threads.submit(work.shared.get, asked_at=1.0) for _ in range(5)]
        work.now = 2.0
        work.may_end.release(2)
        assert first.result() == 1
        work.now = 4.0  # it rested as long as it took
        work.shared.look()
        assert {other.result() for other in others} == {2}
    assert work.count == 2


def test_what_was_begun_after_the_question_is_an_answer() -> None:
    work = Work()
    work.may_end.release(2)
    work.now = 5.0
    assert work.shared.get() == 1
    assert work.shared.get(asked_at=4.0) == 1
    assert work.shared.get(asked_at=5.5) == 2


def test_who_is_not_wanted_any_more_gives_up() -> None:
    work, wanted = Work(), threading.Event()
    wanted.set()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(work.shared.get)
        assert work.begun.acquire(timeout=10)
        work.now = 1.0
        leaver = threads.submit(work.shared.get, wanted.is_set)
        wanted.clear()
        work.shared.look()
        with pytest.raises(GivenUp):
            leaver.result(timeout=10)
        work.may_end.release()
        assert first.result() == 1


def test_a_failure_is_everybody_s_and_the_next_one_is_tried_anew() -> None:
    failing = [True]

    def work() -> int:
        if failing.pop():
            failing.append(False)
            raise ValueError("torn")
        return 7

    shared = SharedWork(work)
    with pytest.raises(ValueError, match="torn"):
        shared.get()
    assert shared.get() == 7
