"""Deadlines for what sources read: each source has one, and each of its devices a shorter one.

A device or source that hangs is not read again until it answers. What it would have said is unknown meanwhile.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from nvtopo.model.conclusions.unread import HANGS
from nvtopo.runtime.call_guard import CallGuard
from nvtopo.sources.sysfs import SysfsReader

T = TypeVar("T")

#: How long one device may take.
DEVICE_SECONDS: Final = 3.0
#: How long a whole source may take without finishing: a few of its devices may hang in one pass.
SOURCE_SECONDS: Final = 10.0


class Deadlines:
    """The call guards of one machine: one for the sources, and one for the devices of each source."""

    def __init__(self, device_seconds: float = DEVICE_SECONDS, source_seconds: float = SOURCE_SECONDS) -> None:
        self._device_seconds = device_seconds
        self.sources = CallGuard[Any](source_seconds)
        self._devices: dict[str, CallGuard[Any]] = {}

    def devices(self, source: str) -> CallGuard[Any]:
        """The guard of a source's devices. Only that source uses it, so no two threads do."""
        return self._devices.setdefault(source, CallGuard(self._device_seconds))

    def cancel(self) -> None:
        """Wait for nothing any more; from any thread, and from signal handlers."""
        for guard in (self.sources, *tuple(self._devices.values())):
            guard.cancel()


def each(
    deadlines: Deadlines | None, source: str, reader: SysfsReader, functions: Mapping[str, Callable[[], T]]
) -> dict[str, T]:
    """Device → what its function returns. A device that hangs has no entry and is a problem.

    Without ``deadlines`` the functions are called directly.
    """
    if deadlines is None:
        return {name: function() for name, function in functions.items()}
    answers = deadlines.devices(source).each(functions)
    for name in answers.hanging:
        reader.problem(name, f"{HANGS}: the device hangs")
    return answers.by_subject
