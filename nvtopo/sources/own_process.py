"""What this process and its workers use: ``/proc/self``, by psutil."""

import contextlib
from typing import Final, NamedTuple

import psutil

from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

_TASKS: Final = "/proc/self/task"


class OwnProcess(NamedTuple):
    """This process now."""

    cpu_seconds: float
    started_at_seconds: float
    """Unix time."""
    resident_bytes: int
    virtual_bytes: int
    open_files: int
    most_files: int
    workers: int | None
    """Processes that it started and that run; None where the kernel does not list them (CONFIG_PROC_CHILDREN)."""
    workers_resident_bytes: int | None


def read() -> OwnProcess:
    """Without what ended workers used."""
    own = psutil.Process()
    with own.oneshot():
        times, memory = own.cpu_times(), own.memory_info()
        resident = _workers()
        return OwnProcess(
            cpu_seconds=times.user + times.system,
            started_at_seconds=own.create_time(),
            resident_bytes=memory.rss,
            virtual_bytes=memory.vms,
            open_files=own.num_fds(),
            most_files=own.rlimit(psutil.RLIMIT_NOFILE)[0],
            workers=None if resident is None else len(resident),
            workers_resident_bytes=None if resident is None else sum(resident),
        )


def _workers() -> list[int] | None:
    """Each one's resident memory. The kernel lists the children of each thread, so no other process is looked at."""
    reader = SysfsReader(SysfsRoot(), "process")
    listed = [reader.text(f"{_TASKS}/{task}/children") for task in reader.names(_TASKS)]
    if all(text is None for text in listed):
        return None
    resident = []
    for pid in " ".join(text or "" for text in listed).split():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            resident.append(int(psutil.Process(int(pid)).memory_info().rss))
    return resident
