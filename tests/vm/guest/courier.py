"""Runs programs for the tests, inside the guest: one JSON object a line in, one out, over a virtio serial port.

A request is ``{"run": [...], "seconds": n}`` for a program's exit code and output, ``{"start": [...], "log": path}``
for a program that stays, ``{"end": pid}`` to end it, or ``{"read": path}`` for a file.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

PORT: Final = "nvtopo.test"
_WAIT_SECONDS: Final = 0.1

Json = dict[str, Any]


class Courier:
    """What has been started and not ended yet."""

    def __init__(self) -> None:
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def answer(self, request: Json) -> Json:
        """Does what is asked; a failure is an answer too."""
        try:
            for verb in ("run", "start", "end", "read"):
                if verb in request:
                    return dict(getattr(self, verb)(request))
        except Exception as error:  # noqa: BLE001 - the host side raises it again
            return {"error": f"{type(error).__name__}: {error}"}
        return {"error": f"no such request: {sorted(request)}"}

    def run(self, request: Json) -> Json:
        done = subprocess.run(request["run"], capture_output=True, check=False, timeout=request["seconds"])
        return {"code": done.returncode, "output": _text(done.stdout), "errors": _text(done.stderr)}

    def start(self, request: Json) -> Json:
        with Path(request["log"]).open("wb") as log:
            process = subprocess.Popen(request["start"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._started[process.pid] = process
        return {"pid": process.pid}

    def end(self, request: Json) -> Json:
        process = self._started.pop(request["end"])
        process.send_signal(signal.SIGTERM)
        return {"code": process.wait(30)}

    def read(self, request: Json) -> Json:
        path = Path(request["read"])
        return {"text": path.read_text(encoding="utf-8") if path.exists() else None}


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def _port() -> Path:
    """The device file of the port, which appears once its driver is there."""
    while True:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text(encoding="ascii").strip() == PORT:
                return Path("/dev") / name.parent.name
        time.sleep(_WAIT_SECONDS)


def main() -> None:
    """Answers until the channel is closed for good, which is when the machine is switched off."""
    descriptor = os.open(_port(), os.O_RDWR)
    courier = Courier()
    print(f"answering on {PORT}", flush=True)  # noqa: T201 - to the console
    with os.fdopen(descriptor, "r+b", buffering=0) as port:
        port.write(b'{"ready": true}\n')
        pending = b""
        while True:
            chunk = port.read(1 << 16)
            if not chunk:  # nobody listens on the host's side at the moment
                time.sleep(_WAIT_SECONDS)
                continue
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                _send(port.fileno(), json.dumps(courier.answer(json.loads(line))).encode() + b"\n")


def _send(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


if __name__ == "__main__":
    main()
