"""Child processes: one that runs, and one that prints a line and is watched with a deadline.

By ``posix_spawn`` and not ``subprocess``, whose import would take a quarter as long as starting an interpreter does.
"""

import os
import select
import signal
import time
from collections.abc import Callable

from nvtopo.runtime.line_buffer import LineBuffer

_LONGEST_LINE_BYTES = 16 << 20
_END_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.0005
#: How soon a wait notices that it was abandoned. Killing the child is not enough: hung in the kernel it keeps the pipe.
_GIVEN_UP_SECONDS = 0.2


class DeadlineExceeded(Exception):
    """The deadline came before the line."""


class ChildProcess:
    """A child that runs from here on, and until ``kill`` at the latest."""

    def __init__(self, arguments: list[str], input_end: int | None, output_end: int | None) -> None:
        """The first argument is the program's path; its standard input and output are these, or ``/dev/null``.

        The child has this process's environment, and none of its descriptors beside those two and standard error.
        """
        self._code: int | None = None
        ends = ((0, input_end, os.O_RDONLY), (1, output_end, os.O_WRONLY))
        actions = [
            (os.POSIX_SPAWN_OPEN, number, os.devnull, flags, 0) if end is None else (os.POSIX_SPAWN_DUP2, end, number)
            for number, end, flags in ends
        ]
        self._pid = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=actions)

    def wait(self) -> int | None:
        """The exit code, negative for a signal; None where the child goes on."""
        deadline = time.monotonic() + _END_SECONDS
        while not self.ended and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_SECONDS)
        return self._code

    def kill(self) -> None:
        """Kill and reap. A child stuck in the kernel can't be reaped yet and is not waited for: see ``ended``."""
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)
            self.wait()

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        if self._code is None:
            self._code = self._reaped()
        return self._code is not None

    def _reaped(self) -> int | None:
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # our parent ignored SIGCHLD, so the kernel keeps no exit codes
            return 0
        return os.waitstatus_to_exitcode(status) if pid else None


class WorkerProcess(ChildProcess):
    """A child that prints one line, and has nothing to read."""

    def __init__(self, arguments: list[str]) -> None:
        """The first argument is the program's path."""
        self._output, output_end = os.pipe()
        try:
            super().__init__(arguments, None, output_end)
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(output_end)

    def line(self, deadline: float, given_up: Callable[[], bool] = lambda: False) -> bytes:
        """The line without its end, or what there is of it where the output ends before it does.

        Whether the child ends then is not waited for: ending an interpreter takes as long as starting one.

        Raises:
            DeadlineExceeded: it is ``deadline`` (monotonic seconds), or the wait is ``given_up``.
            LineTooLong: it has no end.
        """
        buffer = LineBuffer(_LONGEST_LINE_BYTES)
        while True:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._output], [], [], min(_GIVEN_UP_SECONDS, max(0.0, left)))
            if not ready and (left <= 0 or given_up()):
                raise DeadlineExceeded
            if not ready:
                continue
            chunk = os.read(self._output, 1 << 20)
            if not chunk:
                return buffer.rest
            lines = buffer.take(chunk)
            if lines:
                return lines[0]

    def end(self) -> None:
        """Kill and reap, and read no more."""
        os.close(self._output)
        self.kill()
