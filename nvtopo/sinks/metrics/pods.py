"""Containers that hold GPUs, on the metrics page: what of their memory and CPUs is on other NUMA nodes than these GPUs.

Series of a pod come and go with it. There are at most so many containers as ``sources.pods`` shows, and for each of
them three kinds of memory and one count of CPUs on each NUMA node.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from nvtopo.model.pods import GpuContainer, Spill
from nvtopo.sinks.metrics.series import Family, declared, gauge, info

_CONTAINER: Final = ("namespace", "pod", "container")
_NONE: Final = "no container holds a GPU, or the kubelet's pod resources can't be read"
_UNKNOWN: Final = f"{_NONE}, or nobody says on which NUMA node its GPU is"

GPU = info(
    "nvtopo_pod_gpu_info",
    "A GPU, or a share of it, that a container holds.",
    (*_CONTAINER, "gpu", "UUID"),
    source="/var/lib/kubelet/pod-resources/kubelet.sock, List",
    absent=f"{_NONE}, or the device's name does not tell the GPU (MIG by the device plugin)",
)
MEMORY = gauge(
    "nvtopo_pod_numa_memory_bytes",
    "Memory of a container that holds GPUs, by NUMA node; local is near any of its GPUs. File is page cache.",
    (*_CONTAINER, "numa_node", "type", "local"),
    source="memory.numa_stat of its cgroup (v2): anon, shmem, file without shmem",
    absent=_UNKNOWN,
)
CPUS = gauge(
    "nvtopo_pod_numa_cpus",
    "CPUs that a container with GPUs may use, by NUMA node; local is near any of its GPUs.",
    (*_CONTAINER, "numa_node", "local"),
    source="cpuset.cpus.effective of its cgroup (v2)",
    absent=_UNKNOWN,
)
REMOTE_RATIO = gauge(
    "nvtopo_pod_remote_memory_ratio",
    "Part of a container's anonymous and shared memory that is on NUMA nodes near none of its GPUs.",
    _CONTAINER,
    source="nvtopo_pod_numa_memory_bytes, without page cache",
    absent=f"{_UNKNOWN}, or it has no such memory",
)
SERIES = declared(globals())


class Holder(NamedTuple):
    """A container and what follows for it."""

    container: GpuContainer
    spill: Spill


def families(holders: Iterable[Holder], uuids: dict[int, str]) -> Iterator[Family]:
    """The families of these containers; ``uuids`` is index → UUID of the node's GPUs."""
    gpus, memory, cpus, ratio = Family(GPU), Family(MEMORY), Family(CPUS), Family(REMOTE_RATIO)
    for container, spill in holders:
        names = container.namespace, container.pod, container.container
        for index in spill.gpus:
            gpus.add(1, *names, str(index), uuids[index])
        ratio.add(spill.remote_memory_ratio, *names)
        if spill.local_nodes is None:
            continue
        local = dict.fromkeys(spill.local_nodes, "true")
        for kind, nodes in sorted(container.memory_bytes.items()):
            for node, count in nodes.items():
                memory.add(count, *names, str(node), kind, local.get(node, "false"))
        for node, count in spill.cpus.items():
            cpus.add(count, *names, str(node), local.get(node, "false"))
    yield gpus
    yield memory
    yield cpus
    yield ratio
