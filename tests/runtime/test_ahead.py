"""Work that is begun before its result is asked for."""

import threading

import pytest

from nvtopo.runtime.ahead import Ahead


def test_it_has_begun_before_anybody_asks() -> None:
    begun, go = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        go.wait(10)
        return 7

    ahead = Ahead(work)
    assert begun.wait(10)
    go.set()
    assert ahead.result() == 7


def test_what_it_raises_is_raised_where_it_is_asked_for() -> None:
    def work() -> int:
        raise ValueError("no")

    ahead = Ahead(work)
    with pytest.raises(ValueError, match="no"):
        ahead.result()


def test_nothing_may_be_its_result() -> None:
    assert Ahead(lambda: None).result() is None
