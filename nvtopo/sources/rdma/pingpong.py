"""``ibv_rc_pingpong`` of the distribution (ibverbs-utils): messages to and fro, each compared with what was sent.

Both ends on this node, or one of them. No shell, and a limit of seconds and of bytes on what it prints.
"""

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from nvtopo.model.formats.printable import printable
from nvtopo.model.samples.probed import RdmaLoop

PROGRAM: Final = "ibv_rc_pingpong"
#: Its own default port of TCP, by which the two ends find each other.
PORT: Final = 18515
MOST_SECONDS: Final = 20.0
#: How long it waits for the other end, if that is another node.
SERVER_SECONDS: Final = 120.0
_MESSAGES: Final = 200
_MESSAGE_BYTES: Final = 65_536
_MOST_BYTES: Final = 64 << 10
_LONGEST: Final = 160
#: Not ``localhost``: a small machine resolves no name.
_HERE: Final = "127.0.0.1"
_CONNECT: Final = "Couldn't connect"
#: What it prints of the two ends: in a file it comes after the error, which is not buffered.
_ADDRESSES: Final = ("local address:", "remote address:")
_CONNECT_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.1
_MEGABITS: Final = re.compile(r"seconds = (\d{1,12}\.\d\d) Mbit/sec")
_MICROSECONDS: Final = re.compile(r"seconds = (\d{1,12}\.\d\d) usec/iter")


class End(NamedTuple):
    """A port of this node, as the program is told of it."""

    device: str
    port: int = 1
    gid_index: int | None = None
    """None on InfiniBand."""
    mtu_bytes: int | None = None
    """Of the path; None leaves it to the program."""

    def arguments(self, tcp_port: int) -> tuple[str, ...]:
        """The command line, without the host of the other end."""
        gid = () if self.gid_index is None else ("-g", str(self.gid_index))
        mtu = () if self.mtu_bytes is None else ("-m", str(self.mtu_bytes))
        sizes = ("-s", str(_MESSAGE_BYTES), "-n", str(_MESSAGES), "-c")
        return (PROGRAM, "-d", self.device, "-i", str(self.port), *gid, *mtu, *sizes, "-p", str(tcp_port))


def here(end: End, tcp_port: int = PORT) -> RdmaLoop:
    """Both ends on this node, by one port."""
    if (missing := _missing(end.device)) is not None:
        return missing
    with _running(end.arguments(tcp_port)) as server:
        client = _client(end, _HERE, tcp_port)
        other = _last_line(server) if server.poll() else ""
    said = f"{client.said}; the other end: {other}" if other and not client.passed else client.said
    return RdmaLoop(end.device, False if other else client.passed, said)


def to(end: End, host: str, tcp_port: int = PORT) -> RdmaLoop:
    """To a node on which ``answer`` waits."""
    subject = f"{end.device} to {printable(host)}"
    if (missing := _missing(subject)) is not None:
        return missing
    return _client(end, host, tcp_port)._replace(subject=subject)


def answer(end: End, tcp_port: int = PORT, seconds: float = SERVER_SECONDS) -> RdmaLoop:
    """Wait for one other end."""
    subject = f"{end.device} as the other end"
    if (missing := _missing(subject)) is not None:
        return missing
    ended = _run(end.arguments(tcp_port), seconds)
    if ended.code is None:
        return RdmaLoop(subject, None, f"nobody came within {seconds:g} s")
    return RdmaLoop(subject, ended.code == 0, ended.said)


def _missing(subject: str) -> RdmaLoop | None:
    found = shutil.which(PROGRAM)
    return None if found else RdmaLoop(subject, None, f"{PROGRAM} is not installed (package ibverbs-utils)")


def _client(end: End, host: str, tcp_port: int) -> RdmaLoop:
    """The server may need a moment before it listens: only that is tried again."""
    began = time.monotonic()
    while True:
        ended = _run((*end.arguments(tcp_port), "--", host), began + MOST_SECONDS - time.monotonic())
        if ended.code is None:
            return RdmaLoop(end.device, passed=False, said=f"no end within {MOST_SECONDS:g} s")
        unreached = ended.code != 0 and _CONNECT in ended.said
        if not unreached or time.monotonic() - began > _CONNECT_SECONDS:
            return RdmaLoop(end.device, None if unreached else ended.code == 0, ended.said)
        time.sleep(_RETRY_SECONDS)


class _Ended(NamedTuple):
    code: int | None
    """None if it had not ended in time."""
    said: str
    """Its figures if all went well, else its last line."""


def _run(command: tuple[str, ...], seconds: float) -> _Ended:
    with _running(command) as process:
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return _Ended(None, "")
        said = _figures(_text(process)) if code == 0 else _last_line(process) or f"exit code {code}"
        return _Ended(code, said)


@contextlib.contextmanager
def _running(command: tuple[str, ...]) -> Iterator["_Process"]:
    """The program with its output in a file; it does not outlive the block."""
    with tempfile.TemporaryFile() as output:
        process = _Process(command, output)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


class _Process(subprocess.Popen[bytes]):
    def __init__(self, command: tuple[str, ...], output: IO[bytes]) -> None:
        super().__init__(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.output = output


def _text(process: _Process) -> str:
    process.output.seek(0)
    return process.output.read(_MOST_BYTES).decode("utf-8", "replace")


def _last_line(process: _Process) -> str:
    lines = [line.strip() for line in _text(process).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_ADDRESSES)] or lines
    return printable(lines[-1][:_LONGEST]) if lines else ""


def _figures(text: str) -> str:
    rate, time_ = _MEGABITS.search(text), _MICROSECONDS.search(text)
    figures = (*((f"{float(rate[1]) / 1000:.1f} Gb/s",) if rate else ()), *((f"{time_[1]} µs",) if time_ else ()))
    return ", ".join(figures)
