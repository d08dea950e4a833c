"""Events of the real kernel, in a network namespace of our own."""

import shutil
import subprocess
import sys
import threading

import pytest

from nvtopo.sources.watch import Watch

PROGRAM = """
import subprocess, sys, threading, time
from nvtopo.sources import watch

changed = threading.Event()
watching = watch.Watch(changed)
watching._closers = [getattr(watching, sys.argv[1])]
with watching:
    assert sys.argv[1] == "_udev" or changed.wait(5)
    for action in (["add", "veth-a", "type", "veth", "peer", "name", "veth-b"], ["set", "veth-a", "mtu", "9000"],
                   ["del", "veth-a"]):
        if sys.argv[1] == "_udev" and action[0] == "set":
            continue  # an MTU is no uevent: that is what netlink is watched for
        changed.clear()
        began = time.monotonic()
        subprocess.run(["ip", "link", *action], check=True)
        assert changed.wait(5), action
        print(action[0], f"{time.monotonic() - began:.3f}")
"""


@pytest.mark.machine
@pytest.mark.parametrize(("watcher", "events"), [("_netlink", ["add", "set", "del"]), ("_udev", ["add", "del"])])
def test_a_link_that_comes_changes_and_goes_is_an_event_within_a_second(watcher: str, events: list[str]) -> None:
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
    assert all(float(seconds) < 1 for seconds in seen.values()), seen


def test_what_cannot_be_watched_leaves_the_slow_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watch(threading.Event())

    def refuses() -> None:
        raise OSError("no netlink here")

    monkeypatch.setattr(watching, "_closers", [refuses])
    with watching:
        assert watching._open == []


def test_closing_ends_every_thread() -> None:
    before = set(threading.enumerate())
    with Watch(threading.Event()):
        pass
    assert set(threading.enumerate()) <= before
