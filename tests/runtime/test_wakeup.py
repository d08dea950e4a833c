import os
import signal
import threading
import time

from nvtopo.runtime.wakeup import Wakeup, first_of


def test_what_rang_before_anybody_waited_is_heard_once_however_often_it_was() -> None:
    wakeup = Wakeup()
    for _ in range(3):
        wakeup.set()
    assert first_of(wakeup, seconds=10) == (wakeup,)
    wakeup.clear()
    assert first_of(wakeup, seconds=0) == ()
    wakeup.clear()


def test_a_bell_wakes_who_waits_and_says_which_it_was() -> None:
    one, other = Wakeup(), Wakeup()
    thread = threading.Thread(target=other.set)
    thread.start()
    assert first_of(one, other, seconds=10) == (other,)
    thread.join()


def test_silence_has_an_end() -> None:
    began = time.monotonic()
    assert first_of(Wakeup(), seconds=0.05) == ()
    assert time.monotonic() - began >= 0.05


def test_a_signal_handler_may_ring_while_its_own_thread_waits() -> None:
    wakeup = Wakeup()
    before = signal.signal(signal.SIGUSR1, lambda *_: wakeup.set())
    killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    killer.start()
    try:
        assert first_of(wakeup, seconds=30) == (wakeup,)
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_bell_that_is_gone_holds_no_descriptor() -> None:
    wakeup = Wakeup()
    descriptor = wakeup.fileno()
    os.fstat(descriptor)
    del wakeup
    again = Wakeup()
    assert again.fileno() == descriptor
