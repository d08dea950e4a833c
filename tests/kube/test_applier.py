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

PATIENCE = 60.0


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


class Clock:
    """Stands still until the test moves it, and says how often it was asked since."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.now = 0.0
        self.asked = 0

    def __call__(self) -> float:
        with self.changed:
            self.asked += 1
            self.changed.notify_all()
            return self.now

    def move(self, now: float) -> None:
        with self.changed:
            self.now, self.asked = now, 0

    def await_asked(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.asked >= count, PATIENCE)


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


def test_a_server_that_is_busy_is_asked_when_it_says() -> None:
    store, clock = Store(), Clock()
    store.errors = [Throttled("too many requests", status=429, retry_after=60)]
    limits, backoff = Limits(in_flight=1), Backoff(0.001, 0.001)
    applier = Applier("test", store.write, Term(), limits=limits, backoff=backoff, clock=clock)
    applier.want("a", "1", 1)
    with running(applier):
        clock.await_asked(4)  # for the write, its end, the next one, and how long to wait for it
        clock.move(59)
        applier.want("b", "1", 1)
        clock.await_asked(2)
        assert store.entered == 1
        clock.move(61)
        applier.want("c", "1", 1)
        store.await_written(3)


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
