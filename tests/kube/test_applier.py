"""The threads around the queue: a store that the test holds, and events instead of waits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nvtopo.errors import ApiError
from nvtopo.kube.applier import Applier
from nvtopo.kube.apply_queue import Limits, Outcome
from nvtopo.kube.refusal import Throttled
from nvtopo.runtime.backoff import Backoff

PATIENCE = 10.0


class Store:
    """Takes writes, each when the test lets it."""

    def __init__(self, *, open_from_the_start: bool = True) -> None:
        self.changed = threading.Condition()
        self.open = open_from_the_start
        self.entered = 0
        self.written: dict[str, str] = {}
        self.errors: list[Exception] = []

    def write(self, name: str, document: str) -> None:
        with self.changed:
            self.entered += 1
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.open, PATIENCE)
            if self.errors:
                raise self.errors.pop(0)
            self.written[name] = document
            self.changed.notify_all()

    def release(self) -> None:
        with self.changed:
            self.open = True
            self.changed.notify_all()

    def await_entered(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.entered >= count, PATIENCE)

    def await_written(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.written) >= count, PATIENCE)


@contextmanager
def running(applier: Applier[str]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=applier.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Term:
    now: int | None = 1

    def __call__(self) -> int | None:
        return self.now


def test_what_is_wanted_is_written() -> None:
    store = Store()
    applier = Applier("test", store.write, Term())
    with running(applier):
        for number in range(10):
            applier.want(str(number), "1", 1)
        store.await_written(10)
    assert applier.figures.outcomes[Outcome.WRITTEN] == 10
    assert applier.figures.waiting == 0


def test_when_leadership_is_lost_only_what_is_under_way_is_still_written() -> None:
    store, term = Store(open_from_the_start=False), Term()
    applier = Applier("test", store.write, term, limits=Limits(in_flight=4))
    for number in range(2000):
        applier.want(str(number), "1", 1)
    with running(applier):
        store.await_entered(4)
        term.now = None
        store.release()
        store.await_written(4)
    assert (store.entered, len(store.written)) == (4, 4)


def test_an_outage_of_2000_objects_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.errors = [Throttled("too many requests", status=429, retry_after=0) for _ in range(6)]
    applier = Applier("test", store.write, Term(), limits=Limits(in_flight=2), backoff=Backoff(0.001, 0.001))
    with caplog.at_level("INFO"), running(applier):
        for number in range(2000):
            applier.want(str(number), "1", 1)
        store.await_written(1)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "cannot write, trying on"),
        ("INFO", "writes work again"),
    ]


def test_objects_that_are_refused_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.errors = [ApiError("invalid", status=422) for _ in range(5)]
    applier = Applier("test", store.write, Term())
    with running(applier):
        for number in range(20):
            applier.want(str(number), "1", 1)
        store.await_written(15)
    assert applier.figures.refused == 5
    assert [record.message for record in caplog.records] == ["an object is refused"]


def test_a_bug_in_a_write_ends_it_and_is_raised() -> None:
    store = Store()
    store.errors = [ZeroDivisionError("a bug")]
    applier = Applier("test", store.write, Term())
    applier.want("a", "1", 1)
    with pytest.raises(ZeroDivisionError):
        applier.run(threading.Event())
