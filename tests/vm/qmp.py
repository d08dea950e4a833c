"""QEMU's control socket (QMP): one command at a time, over a unix socket."""

import json
import socket
import time
from pathlib import Path
from typing import Any, Final, Self

from tests.lab.process import LabError

_LOOK_AGAIN_SECONDS: Final = 0.05


def connected(path: Path, seconds: float) -> socket.socket:
    """A connection to a unix socket that its owner is about to make."""
    deadline = time.monotonic() + seconds
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise LabError(f"{path.name}: QEMU does not listen: {error}") from None
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return connection


class Qmp:
    """A conversation with QEMU."""

    def __init__(self, path: Path, seconds: float = 20) -> None:
        self._socket = connected(path, seconds)
        self._socket.settimeout(seconds)
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self._lines.readline()
        self("qmp_capabilities")

    def __call__(self, command: str, **arguments: Any) -> Any:
        """What the command returns; LabError where QEMU refuses it."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            line = self._lines.readline()
            if not line:
                raise LabError(f"QEMU ended during {command}")
            answer = json.loads(line)
            if "error" in answer:
                raise LabError(f"QEMU refuses {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
