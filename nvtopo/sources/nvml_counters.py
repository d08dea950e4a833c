"""The long-lived counters worker seen from the agent: a question, an answer, and never a wait beyond the deadline."""

import contextlib
import os
import select
import subprocess
import sys
import time

import msgspec

from nvtopo.model.gpu_counters import GpuSample
from nvtopo.model.record import Record

_LARGEST_ANSWER_BYTES = 16 << 20
#: How long a worker that was told to end may take before it is killed.
_END_SECONDS = 1.0


class Answer(Record, frozen=True, kw_only=True):
    """One line of the worker."""

    gpus: tuple[GpuSample, ...] = ()
    lost: int = 0
    """GPUs that the driver counts and that do not answer."""
    driver: str | None = None
    """Why the driver did not start."""


_DECODER = msgspec.json.Decoder(Answer)


class NoAnswer(Exception):
    """The worker hangs, died, or talks nonsense."""

    def __init__(self, reason: str, words: str) -> None:
        """``reason`` is one of ``hang``, ``died``, ``garbled`` and ``driver``."""
        super().__init__(words)
        self.reason = reason


class CountersWorker:
    """One worker process, from construction to ``end``."""

    def __init__(self, library: str) -> None:
        command = [sys.executable, "-m", "nvtopo.sources.nvml_counters_worker", library]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, *, health: bool, seconds: float) -> Answer:
        """One sample.

        Raises:
            NoAnswer: none came within ``seconds``, or none that can be read. This worker is of no more use.
        """
        deadline = time.monotonic() + seconds
        with contextlib.suppress(BrokenPipeError):  # its last words are read all the same
            self._input.write(b"health\n" if health else b"traffic\n")
        try:
            answer = _DECODER.decode(self._line(deadline, seconds))
        except msgspec.MsgspecError as error:
            raise NoAnswer("garbled", f"answer that can't be read: {error}") from error
        if answer.driver is not None:
            raise NoAnswer("driver", answer.driver)
        return answer

    def _line(self, deadline: float, seconds: float) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise NoAnswer("hang", f"no answer within {seconds:g} s: the driver hangs")
            chunk = os.read(self._output.fileno(), 1 << 20)
            if not chunk:
                raise NoAnswer("died", "the counters worker ended")
            line += chunk
            if len(line) > _LARGEST_ANSWER_BYTES:
                raise NoAnswer("garbled", "an answer without an end")
        return line

    def end(self, *, kill: bool = False) -> bool:
        """Close its input, wait a moment, kill. False where it is stuck in the kernel and can't be reaped yet."""
        self._input.close()
        self._output.close()
        if not kill:
            self._wait()
        if not self.ended:
            self.kill()
            self._wait()
        return self.ended

    def kill(self) -> None:
        """Kill it; from any thread."""
        self._process.kill()

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
