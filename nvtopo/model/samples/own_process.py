"""What the agent's own processes use."""

from nvtopo.model.records.record import Bytes, Count, Record


class OwnProcess(Record, frozen=True, kw_only=True):
    """The agent's process now, and its workers."""

    cpu_seconds: float
    """User and system CPU time since its start, without its workers'."""
    started_at_seconds: float
    """When the process started, in Unix seconds."""
    resident_bytes: Bytes
    """Resident memory, without its workers'."""
    virtual_bytes: Bytes
    """Virtual memory, without its workers'."""
    open_files: Count
    """Open file descriptors."""
    most_files: Count
    """The limit on open file descriptors."""
    workers: Count | None
    """Processes that it started and that run; None where the kernel does not list them (CONFIG_PROC_CHILDREN)."""
    workers_resident_bytes: Bytes | None
    """Resident memory of all workers; None as ``workers``."""
