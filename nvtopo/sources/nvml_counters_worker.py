"""The process that keeps NVML open and answers for its counters: ``python -m`` this module, with the library.

A line on its input asks for a sample, ``traffic`` or ``health``; each gets one line of JSON. It ends when its input
does, so that nobody who dies leaves it behind, holding the driver.
"""

import contextlib
import ctypes
import json
import signal
import sys
from typing import Any

import pynvml

from nvtopo.sources.nvml_asker import Json, Lost
from nvtopo.sources.nvml_counters_gpu import Gpu


def main() -> None:
    """Open, answer, close."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the agent's to handle
    # pynvml asks the linker for the bare name, and gets whatever is loaded already under it.
    with contextlib.suppress(OSError):
        ctypes.CDLL(sys.argv[1], mode=ctypes.RTLD_GLOBAL)
    try:
        pynvml.nvmlInit()
        session = Session()
    except pynvml.NVMLError as error:
        _say({"driver": str(error)})
        return
    for request in iter(sys.stdin.readline, ""):
        _say(session.sample(health=request == "health\n"))
    pynvml.nvmlShutdown()


def _say(answer: Json) -> None:
    try:
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer
    except BrokenPipeError:  # whoever asked is gone
        sys.exit()


class Session:
    """The GPUs that opened; those that did not are asked for by the next worker."""

    def __init__(self) -> None:
        self._gpus: list[Gpu] = []
        self._lost = 0
        for index in range(pynvml.nvmlDeviceGetCount()):
            gpu = self._try(lambda number: Gpu(number, pynvml.nvmlDeviceGetHandleByIndex(number)), index)
            self._gpus += [gpu] if gpu else []
        self._never_opened = self._lost

    def _try(self, function: Any, argument: Any) -> Any:
        """What the function returns; None where the GPU is lost or fails, and then it is counted."""
        try:
            return function(argument)
        except (pynvml.NVMLError, Lost):
            self._lost += 1
            return None

    def sample(self, *, health: bool) -> Json:
        """One ``Answer``."""
        self._lost = self._never_opened
        samples = [self._try(lambda gpu: gpu.sample(health=health), gpu) for gpu in self._gpus]
        return {"gpus": [sample for sample in samples if sample], "lost": self._lost}


if __name__ == "__main__":
    main()
