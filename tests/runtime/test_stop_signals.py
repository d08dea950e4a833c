"""A signal that comes when the main thread can't run a handler, or holds the very lock that stopping needs."""

import os
import re
import select
import signal
import threading
from pathlib import Path

import pytest

from nvtopo.runtime import stop_signals
from nvtopo.runtime.stop_signals import stopping

_SECONDS = 10
_OFTEN = 100
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


def test_it_stops_while_the_main_thread_sleeps_and_another_one_takes_the_signal() -> None:
    """As when it goes to sleep just after the signal: it runs no handler until something else wakes it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with stopping(lambda: os.write(writing, b"x")):
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        sender = threading.Thread(target=_send_to_a_sleeper)
        try:
            sender.start()
            assert select.select([reading], [], [], _SECONDS)[0]
        finally:
            sender.join()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.close(reading)
    os.close(writing)


def _send_to_a_sleeper() -> None:
    """Once the main thread was seen asleep so often that it does not only wait for the interpreter."""
    state, asleep = Path(f"/proc/self/task/{threading.main_thread().native_id}/stat"), 0
    while asleep < _OFTEN:
        asleep = asleep + 1 if state.read_text(encoding="ascii").rpartition(")")[2].split()[0] == "S" else 0
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_as_they_were_afterwards() -> None:
    before = [signal.getsignal(number) for number in _SIGNALS]
    with stopping(lambda: None):
        assert [signal.getsignal(number) for number in _SIGNALS] != before
    assert [signal.getsignal(number) for number in _SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_nobody_else_handles_a_signal() -> None:
    """``fork_server`` ignores two in processes of its own; a handler elsewhere would be lost as described above."""
    own = {"stop_signals.py", "fork_server.py"}
    asks = re.compile(r"\bsignal\.(signal|set_wakeup_fd)\(")
    package = Path(stop_signals.__file__).resolve().parents[1]
    found = {path.name for path in package.rglob("*.py") if asks.search(path.read_text(encoding="utf-8"))}
    assert found == own
