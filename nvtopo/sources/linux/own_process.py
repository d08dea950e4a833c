"""Resources that this process and its workers use: ``/proc/self``, through psutil."""

import contextlib
from typing import Final

import psutil

from nvtopo.model.samples.own_process import OwnProcess
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

_TASKS: Final = "/proc/self/task"


def read() -> OwnProcess:
    """The current use; workers that have ended are not counted."""
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
    """The resident bytes of each worker. The kernel lists the children of each thread, so no other process is read."""
    reader = SysfsReader(SysfsRoot(), "process")
    listed = [reader.text(f"{_TASKS}/{task}/children") for task in reader.names(_TASKS)]
    if all(text is None for text in listed):
        return None
    resident = []
    for pid in " ".join(text or "" for text in listed).split():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            resident.append(int(psutil.Process(int(pid)).memory_info().rss))
    return resident
