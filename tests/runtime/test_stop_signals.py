"""A signal that comes when the main thread can't run a handler, or holds the very lock that stopping needs."""

import os
import select
import signal
import threading

import pytest

from nvtopo.runtime.stop_signals import stopping

_SECONDS = 10
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize("number", _SIGNALS)
def test_stopping_waits_for_the_main_thread_and_not_for_itself(number: signal.Signals) -> None:
    lock, stopped = threading.Lock(), threading.Event()

    def stop() -> None:
        if lock.acquire(timeout=_SECONDS):
            stopped.set()

    with stopping(stop):
        with lock:
            os.kill(os.getpid(), number)
        assert stopped.wait(_SECONDS)


def test_it_stops_while_the_main_thread_runs_no_handler() -> None:
    """As one that goes to sleep on a lock just after the signal: it runs none until it is woken."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with stopping(lambda: os.write(writing, b"x")):
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            thread.start()  # inherits the mask: nobody takes it yet
            thread.join()
            taker = threading.Thread(target=signal.pthread_sigmask, args=(signal.SIG_UNBLOCK, _SIGNALS))
            taker.start()
            taker.join()
            assert select.select([reading], [], [], _SECONDS)[0], "stopped before this thread woke"
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.close(reading)
    os.close(writing)


def test_handlers_are_as_they_were_afterwards() -> None:
    before = [signal.getsignal(number) for number in _SIGNALS]
    with stopping(lambda: None):
        assert [signal.getsignal(number) for number in _SIGNALS] != before
    assert [signal.getsignal(number) for number in _SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
