"""What only ``doctor`` asks of a kubelet: memory by NUMA node, and the NUMA nodes that device plugins state."""

from typing import Annotated

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.record import Bytes, Count, Index, Name, Record, ShortWord


class NumaMemory(Record, frozen=True, kw_only=True):
    """One NUMA node in the memory manager's checkpoint, ``machineState``."""

    index: Index
    total_bytes: Bytes
    reserved_bytes: Bytes
    """``systemReserved``: not for containers."""
    allocatable_bytes: Bytes
    """``allocatable``: for guaranteed pods."""


class PodMemory(Record, frozen=True, kw_only=True):
    """A pod that holds devices of device plugins, or by claims."""

    uid: Name
    resources: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_ATTRIBUTES)] = ()
    """``nvidia.com/gpu``, ``rdma/hca``; of claims their drivers: ``gpu.nvidia.com``."""
    limit_bytes: Bytes | None = None
    """``memory.max`` of its cgroup; absent without a limit."""
    refused: Count | None = None
    """How often it was refused memory at a limit, its containers included: ``oom`` in ``memory.events``."""


class MemoryFacts(Record, frozen=True, kw_only=True):
    """The memory manager, and pods with devices. Absent what can't be read."""

    nodes: Annotated[tuple[NumaMemory, ...], Meta(max_length=limits.MOST_NUMA_NODES)] = ()
    """As the checkpoint has them, by index; empty without a checkpoint of the policy ``Static``."""
    reserved_bytes: Annotated[dict[ShortWord, Bytes], Meta(max_length=limits.MOST_NUMA_NODES)] | None = None
    """NUMA node → memory that ``reservedMemory`` asks to reserve on it."""
    due_bytes: Bytes | None = None
    """``kubeReserved`` + ``systemReserved`` + ``evictionHard`` of memory: what ``reservedMemory`` must add up to."""
    pods: Annotated[tuple[PodMemory, ...], Meta(max_length=1024)] | None = None
    """By UID; absent if neither of the kubelet's checkpoints, or not the cgroups, can be read."""


class DeviceHint(Record, frozen=True, kw_only=True):
    """One device as a device plugin gives it to the kubelet."""

    resource: Name
    """``nvidia.com/gpu``."""
    id: Name
    """The plugin's name of it, such as a GPU's UUID."""
    numa_nodes: Annotated[tuple[Index, ...], Meta(max_length=limits.MOST_NUMA_NODES)] = ()
    """Those near it, as the plugin states them: the topology manager's hint; empty without one."""


class DeviceHints(Record, frozen=True, kw_only=True):
    """``GetAllocatableResources`` of the kubelet's pod resources API."""

    devices: Annotated[tuple[DeviceHint, ...], Meta(max_length=limits.MOST_FUNCTIONS)] = ()
