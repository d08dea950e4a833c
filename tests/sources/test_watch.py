"""Events of the real kernel, in a network namespace of our own."""

import contextlib
import errno
import queue
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nvtopo.sources.linux import watch
from nvtopo.sources.linux.watch import DeviceWatch

PROGRAM = """
import subprocess, sys, threading, time
from nvtopo.sources.linux import watch

changed = threading.Event()
with watch.DeviceWatch(changed.set, (getattr(watch, sys.argv[1]),)):
    assert changed.wait(5)
    time.sleep(0.2)  # of a namespace that is new there is news
    changed.clear()
    for action in (["link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b"], ["link", "set", "veth-a", "up"],
                   ["link", "set", "veth-b", "up"], ["address", "add", "192.0.2.1/24", "dev", "veth-a"],
                   ["route", "add", "198.51.100.7", "dev", "veth-a"], ["link", "del", "veth-a"]):
        subprocess.run(["ip", *action], check=True)
    assert not changed.wait(0.5), "a pod is no news"
    for action in (["add", "br-a", "type", "bridge"], ["set", "br-a", "mtu", "9000"], ["del", "br-a"]):
        if sys.argv[1] == "udev" and action[0] == "set":
            continue  # an MTU is no uevent: that is what netlink is watched for
        changed.clear()
        began = time.monotonic()
        subprocess.run(["ip", "link", *action], check=True)
        assert changed.wait(5), action
        print(action[0], f"{time.monotonic() - began:.3f}")
        time.sleep(0.2)
"""


@pytest.mark.machine
@pytest.mark.parametrize(("watcher", "events"), [("netlink", ["add", "set", "del"]), ("udev", ["add", "del"])])
def test_a_link_that_comes_changes_and_goes_is_an_event(watcher: str, events: list[str]) -> None:
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.fail("ip and unshare are missing: apt-get install -y iproute2 util-linux", pytrace=False)
    result = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", PROGRAM, watcher],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    seen = dict(line.split() for line in result.stdout.splitlines())
    assert list(seen) == events
    assert all(float(seconds) < 5 for seconds in seen.values()), seen


def test_what_cannot_be_watched_leaves_the_slow_pass(caplog: pytest.LogCaptureFixture) -> None:
    tried, rung = threading.Event(), threading.Event()

    def refuses() -> Any:
        tried.set()
        raise OSError("no netlink here")

    with DeviceWatch(rung.set, (refuses,)):
        assert tried.wait(10)
    assert [(record.getMessage(), vars(record)["reason"]) for record in caplog.records] == [
        ("cannot watch for events", "no netlink here")
    ]
    assert not rung.is_set()


def test_a_watcher_that_breaks_is_opened_again_and_says_so_since_it_may_have_missed_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_AGAIN_SECONDS", 0.01)
    rung: queue.SimpleQueue[None] = queue.SimpleQueue()
    events, kernel = socket.socketpair()
    with events, kernel, DeviceWatch(lambda: rung.put(None), (lambda: overflowing(events),)):
        kernel.send(b"a burst")
        for _ in range(3):
            rung.get(timeout=10)


@contextlib.contextmanager
def overflowing(events: socket.socket) -> Iterator[Any]:
    """As netlink after a burst: readable, and reading raises."""

    def take() -> bool:
        raise OSError(errno.ENOBUFS, "No buffer space available")

    yield watch.Events(events, take)


def test_closing_ends_every_thread() -> None:
    before = set(threading.enumerate())
    with DeviceWatch(lambda: None):
        pass
    assert set(threading.enumerate()) <= before
