"""The fork server and its workers as real processes: that they share memory, and that none can stop another."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from nvtopo.runtime.forked_worker import ForkedWorker, ForkServer

pytestmark = pytest.mark.slow

PATIENCE: Final = 90.0
TRACER: Final = """
import ctypes, sys
SEIZE, TRACEEXIT = 0x4206, 0x40
print(ctypes.CDLL(None).ptrace(SEIZE, int(sys.argv[1]), None, TRACEEXIT), flush=True)
sys.stdin.read()
"""
PROGRAM: Final = """
import os, signal, sys, time
from nvtopo.runtime.fork_server import serve
ballast = bytes(range(256)) * 80_000

def echo(*arguments):
    print(*arguments, flush=True)
    for line in sys.stdin:
        print(line, end="", flush=True)

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(600)

def waits():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)

serve({"echo": echo, "deaf": deaf, "waits": waits, "dies": lambda: os._exit(1)})
"""


@pytest.fixture
def server() -> Iterator[ForkServer]:
    before = open_files()
    yield ForkServer([sys.executable, "-c", PROGRAM])
    assert psutil.Process().children(recursive=True) == []
    assert open_files() == before


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def line(worker: ForkedWorker) -> bytes:
    """Its next line; empty where it is gone."""
    while select.select(worker.descriptors, [], [], PATIENCE)[0]:
        lines = worker.receive()
        if lines or worker.gone:
            return b"".join(lines)
    raise AssertionError("no line")


def process(worker: ForkedWorker) -> psutil.Process:
    assert worker.pid is not None
    return psutil.Process(worker.pid)


@contextlib.contextmanager
def kept(pid: int) -> Iterator[None]:
    """A process that can be killed and does not go, as long as there is one that traces its exit (ptrace(2))."""
    tracer = subprocess.Popen(
        [sys.executable, "-c", TRACER, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "0\n"
        yield


def test_workers_are_asked_and_answer_each_for_itself(server: ForkServer) -> None:
    one, other = server.fork("echo", "one", "/a path"), server.fork("echo", "other")
    assert [line(one), line(other)] == [b"one /a path", b"other"]
    assert process(one).name() == "echo"
    one.send(b"question\n")
    assert line(one) == b"question"
    assert one.end(PATIENCE)
    other.send(b"still there\n")
    assert line(other) == b"still there"
    assert other.end(PATIENCE)


def test_a_worker_shares_what_the_server_had(server: ForkServer) -> None:
    worker = server.fork("echo", "ready")
    line(worker)
    assert process(worker).memory_full_info().uss < 10 << 20
    worker.end(PATIENCE)


def test_a_worker_that_hears_nothing_is_killed_alone(server: ForkServer) -> None:
    deaf, other = server.fork("deaf"), server.fork("echo", "other")
    assert [line(deaf), line(other)] == [b"deaf", b"other"]
    gone = process(deaf)
    assert deaf.end(0.05)
    assert not gone.is_running()
    other.send(b"still there\n")
    assert line(other) == b"still there"
    other.end(PATIENCE)


def test_a_worker_that_dies_is_gone_and_leaves_no_zombie(server: ForkServer) -> None:
    worker = server.fork("dies")
    assert line(worker) == b""
    assert worker.gone
    assert worker.pid is not None
    assert not psutil.pid_exists(worker.pid)
    worker.send(b"nobody hears this\n")


def test_a_worker_can_wait_for_children_of_its_own(server: ForkServer) -> None:
    """As NVML does for nvidia-modprobe, and the server itself waits for none."""
    worker = server.fork("waits")
    assert line(worker) == b"7"
    assert worker.end(PATIENCE)


def test_workers_outlive_their_server_and_the_next_has_another(server: ForkServer) -> None:
    worker = server.fork("echo", "first")
    line(worker)
    (parent,) = psutil.Process().children()
    parent.kill()
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
    worker.send(b"still there\n")
    assert line(worker) == b"still there"
    second = server.fork("echo", "second")
    assert line(second) == b"second"
    assert worker.end(PATIENCE)
    assert second.end(PATIENCE)


def test_a_server_that_does_nothing_is_killed_and_its_worker_never_was(server: ForkServer) -> None:
    first = server.fork("echo", "first")
    line(first)
    (parent,) = psutil.Process().children()
    parent.send_signal(signal.SIGSTOP)
    second = server.fork("echo", "second")
    assert not select.select(second.descriptors, [], [], 0.1)[0]
    assert second.end(0)
    third = server.fork("echo", "third")
    assert line(third) == b"third"
    assert [first.end(PATIENCE), third.end(PATIENCE)] == [True, True]


def test_what_the_kernel_keeps_is_not_gone_until_it_is(server: ForkServer) -> None:
    worker = server.fork("deaf")
    line(worker)
    with kept(process(worker).pid):
        began = time.monotonic()
        assert not worker.end(0)
        assert not worker.look()
        assert time.monotonic() - began < PATIENCE
    assert worker.end(PATIENCE)


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    before = open_files()
    with pytest.raises(FileNotFoundError):
        ForkServer(["/nonexistent/python"]).fork("echo")
    assert open_files() == before
