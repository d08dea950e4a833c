"""The NVIDIA driver's view, asked in a worker process with a deadline: a sick driver hangs in the kernel.

The worker is an interpreter of its own that imports only pynvml (``nvml_worker``). It starts before the other sources
read, so that a one-shot dump waits for the slower of the two and not for their sum.
"""

import ctypes
import os
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from nvtopo.model.facts import NvmlFacts
from nvtopo.model.record import Problem, Record
from nvtopo.sources.machine import Machine, NvmlReading, Reading

if TYPE_CHECKING:
    import subprocess

NAME = "nvml"

LIBRARY = "libnvidia-ml.so.1"
#: A healthy driver answers in a quarter of a second; without persistence mode each start takes seconds more.
DEADLINE_SECONDS = 20.0
_LARGEST_ANSWER_BYTES = 16 << 20


class _Answer(Record, frozen=True, kw_only=True):
    """One line of the worker's output."""

    facts: NvmlFacts | None = None
    problems: tuple[Problem, ...] = ()


def read(machine: Machine) -> Reading:
    """Driver, GPUs, NVLinks, fabric and platform; None where there is no NVIDIA driver."""
    return Reading(*machine.nvml.finish())


def library_present(library: str = LIBRARY) -> bool:
    """Whether the dynamic linker finds NVML. Nothing of it is called here."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


class NvmlWorker:
    """Asks NVML in a child process, which lives from question to answer and is killed at the deadline.

    A worker that ends with each answer keeps no device file open, so it never stands in the way of a driver upgrade.
    """

    def __init__(self, library: str = LIBRARY, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        """``library`` is a path where the linker does not know NVML, as in a driver container's root."""
        self._library = library
        self._deadline_seconds = deadline_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def begin(self) -> None:
        """Start the worker, if there is a driver library to ask."""
        if self._child is not None or not library_present(self._library):
            return
        import subprocess

        self._started = time.monotonic()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "nvtopo.sources.nvml_worker", self._library],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            close_fds=True,
        )

    def finish(self) -> NvmlReading:
        """The worker's answer, or the problem that kept it from answering in time."""
        self.begin()
        child, self._child = self._child, None
        if child is None:
            return NvmlReading(None)
        try:
            return self._answer(child)
        finally:
            child.kill()
            _close(child)

    def _answer(self, child: "subprocess.Popen[bytes]") -> NvmlReading:
        assert child.stdout is not None
        output = _read_until(child.stdout.fileno(), self._started + self._deadline_seconds)
        if output is None:
            return _failed(f"no answer within {self._deadline_seconds:g} s: the driver hangs")
        try:
            answer = msgspec.json.decode(output, type=_Answer)
        except msgspec.DecodeError as error:
            return _failed(_why_no_answer(child, output, error))
        return NvmlReading(answer.facts, answer.problems)


def _failed(reason: str) -> NvmlReading:
    return NvmlReading(None, (Problem(source=NAME, subject="driver", reason=reason),))


def _why_no_answer(child: "subprocess.Popen[bytes]", output: bytes, error: Exception) -> str:
    import subprocess

    if output:
        return f"answer that can't be read: {error}"
    try:
        code = child.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return "no answer: the worker closed its output"
    return f"worker ended by signal {-code}" if code < 0 else f"worker ended with exit code {code}"


def _read_until(descriptor: int, deadline: float) -> bytes | None:
    """Everything up to end of file; None if that does not come before ``deadline`` (monotonic seconds)."""
    import select

    chunks: list[bytes] = []
    while sum(map(len, chunks)) < _LARGEST_ANSWER_BYTES:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return None
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks)


def _close(child: "subprocess.Popen[bytes]") -> None:
    """Reap the child; one stuck in the kernel can't be, and is left to init rather than waited for."""
    import subprocess

    if child.stdout is not None:
        child.stdout.close()
    try:
        child.wait(timeout=1)
    except subprocess.TimeoutExpired:
        child.returncode = -9
