"""Notes, by the guest's own clock, when the kernel said that something happened and when a file changed.

``python3 -m tests.vm.guest.witness FEATURES LOG`` prints one JSON object a line until it is ended: ``{"at": seconds,
"event": "remove", "subsystem": "net", "device": path}`` for the kernel's uevents, ``{"at": seconds, "labels": {…}}``
for each new content of the feature file (expiry times, which change by themselves, are no content), ``{"at": seconds,
"changes": n}`` when the agent's log says once more that the topology changed.
"""

import json
import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

_NETLINK_KOBJECT_UEVENT: Final = 15
_KERNEL_GROUP: Final = 1
_LOOK_SECONDS: Final = 0.01


def main() -> None:
    """Watch until the end."""
    file, log = map(Path, sys.argv[1:])
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_KOBJECT_UEVENT)
    events.bind((os.getpid(), _KERNEL_GROUP))
    labels: dict[str, str] | None = None
    changes = 0
    _say(watching=str(file))
    while True:
        if select.select([events], [], [], _LOOK_SECONDS)[0]:
            _say(**_event(events.recv(1 << 16)))
        now = _labels(file)
        if now != labels:
            labels = now
            _say(labels=labels)
        counted = log.read_text(encoding="utf-8").count("topology changed") if log.exists() else 0
        if counted != changes:
            changes = counted
            _say(changes=changes)


def _event(message: bytes) -> dict[str, str]:
    pairs = dict(part.split("=", 1) for part in message.decode("utf-8", "replace").split("\0") if "=" in part)
    return {"event": pairs["ACTION"], "subsystem": pairs["SUBSYSTEM"], "device": pairs["DEVPATH"]}


def _labels(file: Path) -> dict[str, str] | None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _say(**what: Any) -> None:
    sys.stdout.write(json.dumps({"at": time.monotonic(), **what}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
