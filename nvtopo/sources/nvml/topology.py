"""The NVIDIA driver's facts, read by a worker process with a deadline, because a sick driver hangs in the kernel.

The worker is an interpreter of its own that imports only pynvml (``nvml_worker``). It starts before the model is even
imported, so that a one-shot dump waits for the slower of the two and not for their sum: nothing here imports the model
before the worker runs.
"""

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvtopo.runtime.forked_worker import ForkServer
    from nvtopo.runtime.worker_process import WorkerProcess
    from nvtopo.sources.machine import Machine, NvmlReading, Reading

NAME = "nvml"

LIBRARY = "libnvidia-ml.so.1"
#: A healthy driver answers in a quarter of a second; without persistence mode each start takes seconds more.
DEADLINE_SECONDS = 20.0
#: Collecting garbage pays nothing in a process that ends with its answer.
_WORKER = "import gc; gc.disable(); from nvtopo.sources.nvml import worker; worker.main()"


def read(machine: "Machine") -> "Reading":
    """Driver, GPUs, NVLinks, fabric and platform; None where there is no NVIDIA driver."""
    from nvtopo.sources.machine import Reading

    return Reading(*machine.nvml.finish())


def library_present(library: str = LIBRARY) -> bool:
    """Whether the dynamic linker finds NVML. Nothing in it is called here."""
    return why_absent(library) is None


def why_absent(library: str) -> str | None:
    """Why the dynamic linker does not load this library, in its words; None if it does."""
    from _ctypes import dlopen  # what ctypes.CDLL calls: ctypes itself would cost a dump a twentieth of its start

    try:
        dlopen(library, os.RTLD_NOW)
    except OSError as error:
        return str(error)
    return None


class NvmlWorker:
    """Asks NVML in a child process, which lives from question to answer and is killed at the deadline.

    A worker that ends with each answer keeps no device file open, so it never stands in the way of a driver upgrade.
    One that the kernel keeps after it was killed is not joined there by a second: that is a problem until it is gone.
    """

    def __init__(
        self, library: str = LIBRARY, deadline_seconds: float = DEADLINE_SECONDS, *, upkeep: bool = False
    ) -> None:
        """``library`` is a path where the linker does not know NVML, as in a driver container's root.

        With ``upkeep``, modes and error counters are asked for as well: for ``doctor`` and ``capture``.
        """
        self._library = library
        self._arguments = ("upkeep",) if upkeep else ()
        self.deadline_seconds = deadline_seconds
        self._child: WorkerProcess | None = None
        self._stuck: WorkerProcess | None = None
        self._forks: ForkServer | None = None
        self._started = 0.0
        self._cancelled = False

    @property
    def library(self) -> str:
        """The path or name of the NVML library."""
        return self._library

    @property
    def forks(self) -> "ForkServer":
        """The server that forks the workers that stay; all users of this driver share it."""
        from nvtopo.sources.nvml.forks import fork_server

        if self._forks is None:
            self._forks = fork_server()
        return self._forks

    def begin(self) -> None:
        """Start the worker, if there is a driver library to ask."""
        if self._stuck is not None and self._stuck.ended:
            self._stuck = None
        if self._child is not None or self._stuck is not None or not library_present(self._library):
            return
        from nvtopo.runtime.worker_process import WorkerProcess

        self._started = time.monotonic()
        self._child = WorkerProcess([sys.executable, "-c", _WORKER, self._library, *self._arguments])

    def finish(self) -> "NvmlReading":
        """The worker's answer, or the problem that kept it from answering in time."""
        from nvtopo.sources.machine import NvmlReading

        self.begin()
        child, self._child = self._child, None
        if child is None:
            return _still_stuck() if self._stuck is not None else NvmlReading(None)
        try:
            return self._answer(child)
        finally:
            child.end()
            self._stuck = None if child.ended else child

    def abandon(self) -> None:
        """End the worker, whose answer nobody wants."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def cancel(self) -> None:
        """Stop waiting, for this and all later readings; the child is killed as at its deadline."""
        self._cancelled = True

    def _answer(self, child: "WorkerProcess") -> "NvmlReading":
        from nvtopo.errors import ParseError
        from nvtopo.runtime.line_buffer import LineTooLong
        from nvtopo.runtime.worker_process import DeadlineExceeded
        from nvtopo.sources.nvml import answer as nvml_answer

        try:
            line = child.line(self._started + self.deadline_seconds, lambda: self._cancelled)
            return nvml_answer.parse(line) if line else nvml_answer.failed(_why_no_answer(child.wait()))
        except DeadlineExceeded:
            return nvml_answer.failed(f"no answer within {self.deadline_seconds:g} s: the driver hangs")
        except LineTooLong:
            return nvml_answer.failed("an answer without an end")
        except ParseError as error:
            return nvml_answer.failed(f"answer that can't be read: {error}")


def _still_stuck() -> "NvmlReading":
    from nvtopo.sources.nvml import answer as nvml_answer

    return nvml_answer.failed(
        "the last worker is still stuck in the kernel: the driver hangs, and only a reboot may help"
    )


def _why_no_answer(code: int | None) -> str:
    if code is None:
        return "no answer: the worker closed its output"
    return f"worker ended by signal {-code}" if code < 0 else f"worker ended with exit code {code}"
