"""Which way data takes beside RDMA: GPUDirect Storage, gdrcopy, network mounts, and the CPUs that NICs interrupt."""

from typing import Annotated

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.record import Count, Name, Numbers, Record, ShortWord


class NetworkMount(Record, frozen=True, kw_only=True):
    """One mount of a file system on other hosts."""

    path: Name
    kind: ShortWord
    """``nfs4``, ``lustre``, ``ceph``, …."""
    netdev: Name | None = None
    """The network device that the route to its server takes; absent if its address or a route to it is not shown."""


class NicInterrupts(Record, frozen=True, kw_only=True):
    """The interrupts of one network device's function."""

    netdev: Name
    count: Count
    """How many there are, of which it is known where they go."""
    cpus: Numbers = ""
    """CPUs that get at least one."""


class IoPathFacts(Record, frozen=True, kw_only=True):
    """Absent what can't be seen from here."""

    cufile: bool = False
    """Whether GPUDirect Storage is installed: ``/etc/cufile.json``."""
    nvidia_fs: bool | None = None
    """Whether its kernel module is loaded; absent without ``/proc/modules``."""
    gdrcopy: bool = False
    """Whether gdrcopy is installed: its library, or ``/dev/gdrdrv``."""
    gdrdrv: bool | None = None
    """Whether its kernel module is loaded; absent without ``/proc/modules``."""
    mounts: Annotated[tuple[NetworkMount, ...], Meta(max_length=limits.MOST_ATTRIBUTES)] = ()
    interrupts: Annotated[tuple[NicInterrupts, ...], Meta(max_length=limits.MOST_NICS)] = ()
