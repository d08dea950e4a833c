"""A network namespace of its own, so that events in it reach nobody else, and a gate in it to an address outside."""

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from tests.lab.process import Child

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000
_UP: Final = "ip link set lo up && echo up && exec sleep infinity"
_CHUNK_BYTES: Final = 1 << 16


class Apart:
    """The namespace, while it is entered. Needs root."""

    def __init__(self, log: Path) -> None:
        self._holder = Child("netns", ("unshare", "--net", "sh", "-ec", _UP), log=log)
        self._inside = ThreadPoolExecutor(1, thread_name_prefix="apart", initializer=self._enter)
        self._mtu = 65_536

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._inside.shutdown()
        self._holder.stop()

    @property
    def command(self) -> tuple[str, ...]:
        """What runs a program inside."""
        return ("nsenter", f"--net={self._file}")

    def within(self, make: Callable[[], T]) -> T:
        """What is made inside: a socket stays there, whoever uses it then."""
        return self._inside.submit(make).result()

    def ring(self) -> None:
        """An event, as any change of a link is one."""
        self._mtu ^= 1
        subprocess.run((*self.command, "ip", "link", "set", "lo", "mtu", str(self._mtu)), check=True)

    @property
    def _file(self) -> Path:
        return Path(f"/proc/{self._holder.pid}/ns/net")

    def _enter(self) -> None:
        """Of the thread alone that calls it."""
        while "up" not in self._holder.log.read_text():
            self._holder.check()
        libc = ctypes.CDLL(None, use_errno=True)
        with self._file.open("rb") as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")


class Gate:
    """Forwards TCP connections from a listening socket to a port on loopback, unless it is shut."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        self._listener = listener
        self._port = port
        self._shut = False
        self._passing: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="gate", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def shut(self) -> None:
        """What passes is cut off, and who comes is turned away."""
        self._shut = True
        for one in list(self._passing):
            _end(one)

    def open(self) -> None:
        """As before."""
        self._shut = False

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:  # closed: the end
                return
            if self._shut:
                inner.close()
                continue
            outer = socket.create_connection(("127.0.0.1", self._port))
            for one, other in ((inner, outer), (outer, inner)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        self._passing.add(one)
        try:
            while chunk := one.recv(_CHUNK_BYTES):
                other.sendall(chunk)
        except OSError:
            pass
        self._passing.discard(one)
        _end(other)
        one.close()


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended already
        return


def listening() -> socket.socket:
    """On any port of loopback."""
    return socket.create_server(("127.0.0.1", 0))


def is_possible() -> bool:
    """Whether this process may make namespaces."""
    return os.geteuid() == 0
