"""The containers that hold GPUs, and which of their memory and CPUs are on other NUMA nodes than these GPUs.

A node is *local* if any of the container's GPUs is near it; a Grace GPU's own memory is local too. A container with
GPUs on every node has nothing remote, however its processes use them.
"""

from collections.abc import Mapping, Sequence

from nvtopo.model.formats.cpulist import parse_cpulist
from nvtopo.model.records.facts import NumaNode
from nvtopo.model.records.node import Gpu
from nvtopo.model.records.record import Bytes, Count, Name, Record

_UUID_LENGTH = len("GPU-") + 36
_DRA = "gpu.nvidia.com/gpu-"
#: Memory that processes work with. Page cache (``file``) stays where it was first read and does not slow a job.
_WORKING = ("anon", "shmem")


class GpuContainer(Record, frozen=True, kw_only=True):
    """One running container with GPUs: what the kubelet gave it, and what its cgroup says."""

    namespace: Name
    pod: Name
    container: Name
    devices: tuple[Name, ...]
    """The GPUs' device IDs as the kubelet knows them (``GPU-<uuid>``, a share ``GPU-<uuid>::2``, ``MIG-<uuid>``), or
    ``<driver>/<device>`` of a resource claim (``gpu.nvidia.com/gpu-3``, 3 being the minor number)."""
    numa_nodes: tuple[Count, ...] = ()
    """NUMA nodes of the GPUs, from the device plugin."""
    memory_bytes: dict[str, dict[Count, Bytes]] = {}
    """``memory.numa_stat``: ``anon``, ``shmem`` and ``file`` (page cache, without shmem) → NUMA node → bytes."""
    cpus: str = ""
    """``cpuset.cpus.effective``: the CPUs that it may use."""


class NumaPlacement(Record, frozen=True, kw_only=True):
    """One container beside its GPUs."""

    gpus: tuple[Count, ...] = ()
    """NVML's indices of the GPUs that this node knows; MIG devices do not identify their GPU."""
    local_nodes: tuple[Count, ...] | None = None
    """None if the NUMA node of one of its GPUs is not known: then nothing counts as local or remote."""
    cpus: dict[Count, Count] = {}
    """NUMA node → how many of the CPUs that it may use are there."""
    remote_memory_ratio: float | None = None
    """Of its anonymous and shared memory, 0 to 1; None where it has none, or nothing is known to be local."""


def numa_placement(
    container: GpuContainer, gpus: Sequence[Gpu], minors: Mapping[int, int], numa: Sequence[NumaNode]
) -> NumaPlacement:
    """What follows; ``minors`` is minor number → index of the node's GPUs."""
    known = {gpu.index: gpu for gpu in gpus}
    by_uuid = {gpu.uuid: gpu.index for gpu in gpus}
    indices = [gpu_index(device, by_uuid, minors) for device in container.devices]
    local = _local([known.get(index) if index is not None else None for index in indices], container.numa_nodes)
    allowed = set(parse_cpulist(container.cpus))
    cpus = {node.index: len(allowed.intersection(parse_cpulist(node.cpus))) for node in numa}
    return NumaPlacement(
        gpus=tuple(sorted({index for index in indices if index in known})),
        local_nodes=local,
        cpus={node: count for node, count in cpus.items() if count},
        remote_memory_ratio=None if local is None else _remote_ratio(container.memory_bytes, local),
    )


def gpu_index(device: str, by_uuid: Mapping[str, int], minors: Mapping[int, int]) -> int | None:
    """Which GPU a device is, whole or a share of it; None if its name does not identify it."""
    if device.startswith(_DRA):
        minor = device.removeprefix(_DRA).partition("-")[0]
        return minors.get(int(minor)) if minor.isdecimal() else None
    return by_uuid.get(device[:_UUID_LENGTH])


def _local(gpus: Sequence[Gpu | None], stated: tuple[int, ...]) -> tuple[int, ...] | None:
    """The nodes near these GPUs, by their PCIe functions, else by what the device plugin stated of all of them."""
    nodes = [_nodes(gpu) if gpu else set() for gpu in gpus]
    if nodes and all(nodes):
        return tuple(sorted(set().union(*nodes)))
    return stated or None


def _nodes(gpu: Gpu) -> set[int]:
    near = parse_cpulist(gpu.numa_nodes) or ((gpu.numa_node,) if gpu.numa_node is not None else ())
    own = (gpu.memory_numa_node,) if gpu.memory_numa_node is not None else ()
    return {*near, *own} if near else set()


def _remote_ratio(memory: Mapping[str, Mapping[int, int]], local: Sequence[int]) -> float | None:
    counts = [(node, count) for kind in _WORKING for node, count in memory.get(kind, {}).items()]
    total = sum(count for _, count in counts)
    return sum(count for node, count in counts if node not in local) / total if total else None
