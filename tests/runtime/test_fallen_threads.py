"""A thread that ends by an exception is known, whoever started it; one that ends as it should is not."""

import threading

from nvtopo.runtime.fallen_threads import FallenThreads


def fall() -> None:
    raise LookupError("a bug")


def ended(name: str, target: object) -> None:
    thread = threading.Thread(target=target, name=name)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_a_thread_that_falls_is_known_by_its_name() -> None:
    with FallenThreads() as threads:
        ended("fine", lambda: None)
        assert threads.all_run()
        ended("status-writer", fall)
        assert not threads.all_run()
        assert threads.fallen == {"status-writer": "LookupError"}


def test_who_wants_to_know_at_once_is_told() -> None:
    told = threading.Event()
    with FallenThreads(told.set):
        ended("fine", lambda: None)
        assert not told.is_set()
        ended("plugin", fall)
        assert told.is_set()


def test_before_and_after_somebody_else_watches() -> None:
    before = threading.excepthook
    with FallenThreads():
        assert threading.excepthook != before
    assert threading.excepthook == before
