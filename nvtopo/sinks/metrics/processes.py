"""The agent's own processes on the metrics page, the main one in the names that every exporter has."""

from collections.abc import Iterator
from typing import Final

from nvtopo.model.samples.own_process import OwnProcess
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

_NOT_LISTED: Final = "the kernel does not list them (CONFIG_PROC_CHILDREN)"

CPU = counter(
    "process_cpu_seconds_total",
    "User and system CPU time of the agent's process in seconds, without its workers.",
    source="/proc/self/stat",
)
START = gauge(
    "process_start_time_seconds", "Start time of the agent's process, in Unix seconds.", source="/proc/self/stat"
)
RESIDENT = gauge(
    "process_resident_memory_bytes", "Resident memory of the agent's process, in bytes.", source="/proc/self/statm"
)
VIRTUAL = gauge(
    "process_virtual_memory_bytes", "Virtual memory of the agent's process, in bytes.", source="/proc/self/statm"
)
OPEN_FILES = gauge(
    "process_open_fds", "Number of file descriptors that the agent's process has open.", source="/proc/self/fd"
)
MOST_FILES = gauge(
    "process_max_fds",
    "Largest number of file descriptors that the agent's process may have open.",
    source="getrlimit, RLIMIT_NOFILE",
)
WORKERS = gauge(
    "nvtopo_workers",
    "Number of worker processes that ask the driver on the agent's behalf.",
    source="/proc/self/task/<TID>/children",
    absent=_NOT_LISTED,
)
WORKERS_RESIDENT = gauge(
    "nvtopo_workers_resident_memory_bytes",
    "Resident memory of all worker processes of the agent, in bytes.",
    source="/proc/<PID>/statm",
    absent=_NOT_LISTED,
)
SERIES = declared(globals())


def families(own: OwnProcess) -> Iterator[Family]:
    """The families of one reading."""
    yield one(CPU, own.cpu_seconds)
    yield one(START, own.started_at_seconds)
    yield one(RESIDENT, own.resident_bytes)
    yield one(VIRTUAL, own.virtual_bytes)
    yield one(OPEN_FILES, own.open_files)
    yield one(MOST_FILES, own.most_files)
    yield one(WORKERS, own.workers)
    yield one(WORKERS_RESIDENT, own.workers_resident_bytes)
