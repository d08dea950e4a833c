"""A child process that prints one line, watched with a deadline.

By ``posix_spawn`` and not ``subprocess``, whose import would take a quarter as long as starting an interpreter does.
"""

import os
import select
import signal
import time
from collections.abc import Callable

_LARGEST_LINE_BYTES = 16 << 20
_END_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.0005
#: How soon a wait notices that it was given up. Not by killing the child: what hangs in the kernel keeps its pipe.
_GIVEN_UP_SECONDS = 0.2


class TooLate(Exception):
    """The deadline came before the line."""


class Child:
    """A child that runs from here on, and until ``end`` at the latest."""

    def __init__(self, arguments: list[str]) -> None:
        """The first argument is the program's path. The child has this process's environment, and nothing to read."""
        self._code: int | None = None
        self._output, write_end = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        try:
            self._pid = os.posix_spawn(arguments[0], arguments, os.environ, file_actions=actions)
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(write_end)

    def line(self, deadline: float, given_up: Callable[[], bool] = lambda: False) -> bytes:
        """The line, or what there is of it where the output ends before it does.

        Whether the child ends then is not waited for: ending an interpreter takes as long as starting one.

        Raises:
            TooLate: it is ``deadline`` (monotonic seconds), or the wait is ``given_up``.
        """
        line = b""
        while not line.endswith(b"\n") and len(line) < _LARGEST_LINE_BYTES:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._output], [], [], min(_GIVEN_UP_SECONDS, max(0.0, left)))
            if not ready and (left <= 0 or given_up()):
                raise TooLate
            if not ready:
                continue
            chunk = os.read(self._output, 1 << 20)
            if not chunk:
                break
            line += chunk
        return line

    def wait(self) -> int | None:
        """The exit code, negative for a signal; None where the child goes on without its output."""
        deadline = time.monotonic() + _END_SECONDS
        while not self.ended and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_SECONDS)
        return self._code

    def end(self) -> None:
        """Kill and reap. What is stuck in the kernel can't be reaped yet, and is not waited for: see ``ended``."""
        os.close(self._output)
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
        except ChildProcessError:  # whoever started us ignores SIGCHLD, and then the kernel keeps no exit codes
            return 0
        return os.waitstatus_to_exitcode(status) if pid else None
