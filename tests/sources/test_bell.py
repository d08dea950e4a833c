import os
import signal
import threading
import time

from nvtopo.sources.bell import Bell, first_of


def test_what_rang_before_anybody_waited_is_heard_once_however_often_it_was() -> None:
    bell = Bell()
    for _ in range(3):
        bell.ring()
    assert first_of(bell, seconds=10) == (bell,)
    bell.silence()
    assert first_of(bell, seconds=0) == ()
    bell.silence()


def test_a_bell_wakes_who_waits_and_says_which_it_was() -> None:
    one, other = Bell(), Bell()
    thread = threading.Thread(target=other.ring)
    thread.start()
    assert first_of(one, other, seconds=10) == (other,)
    thread.join()


def test_silence_has_an_end() -> None:
    began = time.monotonic()
    assert first_of(Bell(), seconds=0.05) == ()
    assert time.monotonic() - began >= 0.05


def test_a_signal_handler_may_ring_while_its_own_thread_waits() -> None:
    bell = Bell()
    before = signal.signal(signal.SIGUSR1, lambda *_: bell.ring())
    killer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    killer.start()
    try:
        assert first_of(bell, seconds=30) == (bell,)
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)


def test_a_bell_that_is_gone_holds_no_descriptor() -> None:
    bell = Bell()
    descriptor = bell.fileno()
    os.fstat(descriptor)
    del bell
    again = Bell()
    assert again.fileno() == descriptor
