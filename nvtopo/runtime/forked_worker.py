"""Workers of a fork server, and the server itself, from the side of the process that uses them.

The server is the workers' parent and reaps them. A worker is gone when ``/proc`` no longer shows it; the end of its
output proves nothing, because the kernel closes the pipe before the driver's files, where exiting may hang.
"""

import contextlib
import os
import select
import signal
import socket
import threading
import time

from nvtopo.runtime.fork_server import SEPARATOR
from nvtopo.runtime.line_buffer import LineBuffer, LineTooLong, NotALine
from nvtopo.runtime.worker_process import ChildProcess

_CHUNK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 16 << 20
#: How long a killed worker may take to be gone, before it counts as kept by the kernel.
_REAP_SECONDS = 0.3
_LOOK_AGAIN_SECONDS = 0.002
#: Digits of a process number.
_LONGEST_NUMBER = 10


class ForkServer:
    """Started with the first worker, and ended with the last. From any thread."""

    def __init__(self, arguments: list[str]) -> None:
        """The first argument is the program's path; the program calls ``fork_server.serve``."""
        self._arguments = arguments
        self._lock = threading.Lock()
        self._process: ChildProcess | None = None
        self._requests: socket.socket | None = None
        self._workers = 0

    def fork(self, role: str, *arguments: str) -> "ForkedWorker":
        """Request a worker without waiting for the server. Only the worker's first line shows that it runs.

        Raises:
            OSError: the program can't be started, or there is no free descriptor.
        """
        request = SEPARATOR.join(text.encode() for text in (role, *arguments))
        with self._lock:
            worker_input, input_end = os.pipe()
            output_end, worker_output = os.pipe()
            try:
                self._ask(request, [worker_input, worker_output])
            except OSError:
                os.close(input_end)
                os.close(output_end)
                raise
            finally:
                os.close(worker_input)
                os.close(worker_output)
            self._workers += 1
        return ForkedWorker(self, input_end, output_end)

    def release(self) -> None:
        """One of its workers is gone."""
        with self._lock:
            self._workers -= 1
            if not self._workers:
                self._end()

    def kill(self) -> None:
        """Kill a server that does not respond: the next worker gets a new one. Its running workers go on."""
        with self._lock:
            self._end()

    def _ask(self, request: bytes, pipes: list[int]) -> None:
        if self._requests is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died
                socket.send_fds(self._requests, [request], pipes)
                return
            self._end()
        self._start()
        assert self._requests is not None
        socket.send_fds(self._requests, [request], pipes)

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            os.set_blocking(ours.fileno(), False)
            try:
                self._process = ChildProcess(self._arguments, theirs.fileno(), None)
            except OSError:
                ours.close()
                raise
        self._requests = ours

    def _end(self) -> None:
        if self._requests is not None:
            self._requests.close()
        if self._process is not None:
            self._process.kill()
        self._requests = self._process = None


class ForkedWorker:
    """One worker, from the request until it is gone. Not thread-safe."""

    def __init__(self, server: ForkServer, input_end: int, output_end: int) -> None:
        self._server = server
        self._input: int | None = input_end
        self._output: int | None = output_end
        self._lines = LineBuffer(_LONGEST_LINE_BYTES)
        self.pid: int | None = None
        """None until it has said its first line."""
        self.gone = False
        """Whether it was seen to be."""

    @property
    def descriptors(self) -> list[int]:
        """For ``select``: readable when there is something to ``receive``. Empty once its output has ended."""
        return [] if self._output is None else [self._output]

    def send(self, line: bytes) -> None:
        """Write a line. If the worker has died, write nothing; the end of its output shows that."""
        with contextlib.suppress(BrokenPipeError):
            if self._input is not None:
                os.write(self._input, line)

    def receive(self) -> list[bytes]:
        """The lines that are there, without their ends; at the end of its output, wait a moment until it is ``gone``.

        What hangs in the kernel on its way out is not waited for. Call again to look again.

        Raises:
            LineTooLong: a line has no end.
            NotALine: the first line is no process number.
        """
        lines = self._read()
        if self._output is None:
            self._gone_within(_REAP_SECONDS)
        return lines

    def look(self) -> bool:
        """Whether it is gone: no such process, or one that never was and never will be."""
        if not self.gone and (self._output is None if self.pid is None else _ended(self.pid)):
            self.gone = True
            self._close_output()
            self._close_input()
            self._server.release()
        return self.gone

    def end(self, grace_seconds: float) -> bool:
        """Close its input, give it so long, kill it. False where it is not gone even then: the kernel keeps it."""
        self._close_input()
        if not self._gone_within(grace_seconds):
            self._kill()
            self._gone_within(_REAP_SECONDS)
        return self.gone

    def _kill(self) -> None:
        if self.pid is None:  # its server has not made it in time
            self._server.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _gone_within(self, seconds: float) -> bool:
        """Discard its output until it is gone; False if that takes longer than ``seconds``."""
        deadline = time.monotonic() + seconds
        while not self.look() and (left := deadline - time.monotonic()) > 0:
            if select.select(self.descriptors, [], [], min(left, _LOOK_AGAIN_SECONDS))[0]:
                with contextlib.suppress(LineTooLong, NotALine):
                    self._read()
        return self.gone

    def _read(self) -> list[bytes]:
        chunk = b"" if self._output is None else os.read(self._output, _CHUNK_BYTES)
        if not chunk:
            self._close_output()
            return []
        lines = self._lines.take(chunk)
        if lines and self.pid is None:
            self.pid = _process_number(lines.pop(0))
        return lines

    def _close_output(self) -> None:
        if self._output is not None:
            os.close(self._output)
            self._output = None

    def _close_input(self) -> None:
        if self._input is not None:
            os.close(self._input)
            self._input = None


def _process_number(line: bytes) -> int:
    """From the worker's first line; a library that it loads may have printed another before."""
    if not line.isdigit() or len(line) > _LONGEST_NUMBER:
        raise NotALine("expected the worker's process number first")
    return int(line)


def _ended(pid: int) -> bool:
    """Whether the process is gone, or dead: where its server died before it, it may be ours to reap."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
        try:
            stat = os.read(descriptor, _CHUNK_BYTES)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(b") ")[2][:1] in b"ZX"
