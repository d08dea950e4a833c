"""The agent's own processes on the metrics page, the main one in the names that every exporter has."""

from collections.abc import Iterator
from typing import Final, Protocol

from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

_NOT_LISTED: Final = "the kernel does not list them (CONFIG_PROC_CHILDREN)"

CPU = counter("process_cpu_seconds_total", "CPU time of this process, workers apart.", source="/proc/self/stat")
START = gauge("process_start_time_seconds", "When it started, Unix time.", source="/proc/self/stat")
RESIDENT = gauge("process_resident_memory_bytes", "Its resident memory.", source="/proc/self/statm")
VIRTUAL = gauge("process_virtual_memory_bytes", "Its address space.", source="/proc/self/statm")
OPEN_FILES = gauge("process_open_fds", "Its open files.", source="/proc/self/fd")
MOST_FILES = gauge("process_max_fds", "How many it may open.", source="getrlimit, RLIMIT_NOFILE")
WORKERS = gauge(
    "nvtopo_workers",
    "Processes that ask the driver for this one.",
    source="/proc/self/task/<TID>/children",
    absent=_NOT_LISTED,
)
WORKERS_RESIDENT = gauge(
    "nvtopo_workers_resident_memory_bytes",
    "Resident memory of all of them.",
    source="/proc/<PID>/statm",
    absent=_NOT_LISTED,
)
SERIES = declared(globals())


class OwnProcess(Protocol):
    """This process, and its workers."""

    @property
    def cpu_seconds(self) -> float:
        """Since its start."""

    @property
    def started_at_seconds(self) -> float:
        """Unix time."""

    @property
    def resident_bytes(self) -> int:
        """Memory."""

    @property
    def virtual_bytes(self) -> int:
        """Memory."""

    @property
    def open_files(self) -> int:
        """Now."""

    @property
    def most_files(self) -> int:
        """Its limit."""

    @property
    def workers(self) -> int | None:
        """How many there are."""

    @property
    def workers_resident_bytes(self) -> int | None:
        """Of all of them."""


def families(own: OwnProcess) -> Iterator[Family]:
    """Its families."""
    yield one(CPU, own.cpu_seconds)
    yield one(START, own.started_at_seconds)
    yield one(RESIDENT, own.resident_bytes)
    yield one(VIRTUAL, own.virtual_bytes)
    yield one(OPEN_FILES, own.open_files)
    yield one(MOST_FILES, own.most_files)
    yield one(WORKERS, own.workers)
    yield one(WORKERS_RESIDENT, own.workers_resident_bytes)
