"""The host's processes by name: ``/proc/<pid>/comm``."""

from collections.abc import Collection
from contextlib import suppress
from typing import Final

from nvtopo.sources.sysfs import SysfsRoot

#: The second process is the kernel's, which no container with processes of its own has.
_KERNEL: Final = ("/proc/2/comm", b"kthreadd")


def named(root: SysfsRoot, wanted: Collection[str]) -> dict[str, list[int]] | None:
    """Name → the processes of that name, of those wanted. None if the host's processes can't be seen from here."""
    try:
        if root.read(_KERNEL[0]).strip() != _KERNEL[1]:
            return None
        names = root.names("/proc")
    except OSError:
        return None
    found: dict[str, list[int]] = {}
    for name in names:
        if name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                called = root.read(f"/proc/{name}/comm").decode(errors="replace").strip()
                if called in wanted:
                    found.setdefault(called, []).append(int(name))
    return found
