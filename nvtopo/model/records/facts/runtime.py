"""What starts containers on the host, what it gives them, and IMEX."""

from typing import Annotated, Literal

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.record import Bytes, Count, Name, Record, ShortWord

_Few = Meta(max_length=limits.MOST_GPUS * 16)


class CdiSpec(Record, frozen=True, kw_only=True):
    """One file of ``/etc/cdi`` or ``/var/run/cdi``: devices that a runtime can give to a container."""

    file: Name
    kind: Name
    """``nvidia.com/gpu``."""
    devices: Annotated[tuple[Name, ...], _Few] = ()
    """Names of the devices: ``0``, ``GPU-…``, ``all``."""
    paths: Annotated[tuple[Name, ...], _Few] = ()
    """Device nodes of the devices: ``/dev/nvidia0``."""
    missing_paths: Annotated[tuple[Name, ...], _Few] = ()
    """Those of the paths that are not there."""


class RuntimeFacts(Record, frozen=True, kw_only=True):
    """The container runtime. Absent what can't be seen from here, as in a container of its own."""

    runtimes: Annotated[tuple[ShortWord, ...], Meta(max_length=8)] = ()
    """Runtimes that run: ``containerd``, ``crio``, ``dockerd``."""
    locked_memory_bytes: Bytes | None = None
    """How much memory a process of theirs may lock (soft limit), which containers inherit; absent if unlimited."""
    locked_memory_unlimited: bool | None = None
    """Whether that is unlimited; absent if no runtime can be seen."""
    configured: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_ATTRIBUTES)] = ()
    """Configuration files of a runtime that were read."""
    nvidia_runtime: bool | None = None
    """Whether one of them names nvidia-container-runtime; absent without such a file."""
    cdi: Annotated[tuple[CdiSpec, ...], Meta(max_length=limits.MOST_ATTRIBUTES)] = ()
    rdma_limits: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_RDMA_DEVICES)] | None = None
    """Lines of ``rdma.max`` that limit the pods: ``mlx5_0 hca_handle=2 hca_object=2000``; absent if the cgroup of all
    pods can't be seen."""
    cgroup_version: Literal[1, 2] | None = None


class ImexFacts(Record, frozen=True, kw_only=True):
    """IMEX, by which GPUs of several nodes use each other's memory over NVLink."""

    channels: bool | None = None
    """Whether the driver has registered ``nvidia-caps-imex-channels``, ``/proc/devices``."""
    daemons: Count | None = None
    """Processes ``nvidia-imex``; absent if the host's processes can't be seen."""
    nodes: Count | None = None
    """Addresses in ``/etc/nvidia-imex/nodes_config.cfg``; absent without that file."""
    nodes_digest: ShortWord = ""
    """A hash of these addresses, in their order: it should be the same on all nodes of a domain."""
