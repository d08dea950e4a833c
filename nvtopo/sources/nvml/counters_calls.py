"""NVML's functions of one GPU in the counters worker: what is not supported is asked for once, what failed is named."""

from typing import Any

from nvtopo.sources.nvml.asker import ABSENT, LOST, Lost
from nvtopo.sources.nvml.binding import pynvml


class Calls:
    """Functions of one GPU that answer a number, or numbers."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._silent: set[tuple[Any, ...]] = set()
        self.failed: list[str] = []
        """What failed since it was emptied: ``nvmlDeviceGetPowerUsage: Unknown Error``."""

    def number(self, function: str, *arguments: int) -> int | None:
        """The value; None if it failed this time, or is not supported, in which case it is not asked for again.

        Raises:
            Lost: the GPU answers nothing.
        """
        found = self.ask(function, *arguments)
        return None if found is None else int(found)

    def ask(self, function: str, *arguments: int) -> Any:
        """The same for a function that answers anything."""
        call = getattr(pynvml, function, None)  # an older pynvml does not have the newest functions
        if call is None or (function, *arguments) in self._silent:
            return None
        try:
            return call(self._handle, *arguments)
        except pynvml.NVMLError as error:
            if error.value in LOST:
                raise Lost(str(error)) from error
            if error.value in ABSENT:
                self._silent.add((function, *arguments))
            else:
                self.failed.append(f"{function}: {error}")
            return None
