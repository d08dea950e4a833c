"""Deadlines for what sources read: each source has one, and each of its devices a shorter one.

A device or source that hangs is not read again until it answers. What it would have said is unknown meanwhile.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nvtopo.model.conclusions.unread import HANGS
from nvtopo.sources.sysfs import SysfsReader

if TYPE_CHECKING:
    from nvtopo.runtime.call_guard import CallGuard

T = TypeVar("T")

#: How long one device may take.
DEVICE_SECONDS: Final = 3.0
#: How long a whole source may take without finishing: a few of its devices may hang in one pass.
SOURCE_SECONDS: Final = 10.0


class Deadlines:
    """The call guards of one machine: one for the sources, and one for the devices of each source."""

    def __init__(self, device_seconds: float = DEVICE_SECONDS, source_seconds: float = SOURCE_SECONDS) -> None:
        from nvtopo.runtime.call_guard import CallGuard  # a dump has no deadlines

        self.sources: CallGuard[Any] = CallGuard(source_seconds)
        self._of_devices: Callable[[], CallGuard[Any]] = partial(CallGuard, device_seconds)
        self._devices: dict[str, CallGuard[Any]] = {}

    def devices(self, source: str) -> "CallGuard[Any]":
        """The guard of a source's devices. Only that source uses it, so no two threads do."""
        return self._devices.setdefault(source, self._of_devices())

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
