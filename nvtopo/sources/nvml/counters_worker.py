"""The process that keeps NVML open and answers for its counters.

A line on its input asks for a sample, ``traffic`` or ``health``; each gets one line of JSON. It ends when its input
ends, so it does not outlive the agent and keep the driver open. It imports pynvml and the standard library only.
"""

import sys
from typing import Any

from nvtopo.sources.nvml.asker import Json, Lost, preload, say
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.counters_gpu import Gpu

#: Failures that are named of one sample.
_MOST_FAILED = 16


def main(library: str) -> None:
    """Open, answer, close."""
    preload(library)
    try:
        pynvml.nvmlInit()
        session = CounterSession()
    except pynvml.NVMLError as error:
        say({"driver": str(error)})
        return
    for request in iter(sys.stdin.readline, ""):
        say(session.sample(health=request == "health\n"))
    pynvml.nvmlShutdown()


class CounterSession:
    """The GPUs that opened. The next worker tries those that did not."""

    def __init__(self) -> None:
        self._gpus: list[Gpu] = []
        self._lost = 0
        for index in range(pynvml.nvmlDeviceGetCount()):
            gpu = self._try(lambda number: Gpu(number, pynvml.nvmlDeviceGetHandleByIndex(number)), index)
            self._gpus += [gpu] if gpu else []
        self._never_opened = self._lost

    def _try(self, function: Any, argument: Any) -> Any:
        """The function's result; None if the GPU is lost or fails, which is counted."""
        try:
            return function(argument)
        except (pynvml.NVMLError, Lost):
            self._lost += 1
            return None

    def sample(self, *, health: bool) -> Json:
        """One ``CounterLine``."""
        self._lost = self._never_opened
        samples = [self._try(lambda gpu: gpu.sample(health=health), gpu) for gpu in self._gpus]
        failed = [what for gpu in self._gpus for what in gpu.failed][:_MOST_FAILED]
        return {"gpus": [sample for sample in samples if sample], "lost": self._lost, "failed": failed}
