"""A signal that comes while the main thread holds the very lock that stopping needs."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from nvtopo.runtime.stop_signals import on_stop_signal

_SECONDS = 5.0


@pytest.fixture(autouse=True)
def _handlers_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_waits_for_the_main_thread_and_not_for_itself(number: signal.Signals) -> None:
    lock, stopped = threading.Lock(), threading.Event()

    def stop() -> None:
        if lock.acquire(timeout=_SECONDS):
            stopped.set()

    on_stop_signal(stop)
    with lock:
        os.kill(os.getpid(), number)
    assert stopped.wait(_SECONDS)
