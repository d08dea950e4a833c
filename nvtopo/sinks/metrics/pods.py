"""Containers that hold GPUs, on the metrics page: what of their memory and CPUs is on other NUMA nodes than these GPUs.

Series of a pod come and go with it. There are at most so many containers as ``sources.pods`` shows, and for each of
them three kinds of memory and one count of CPUs on each NUMA node.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from nvtopo.model.samples.audit import PodAudit
from nvtopo.model.samples.pods import GpuContainer, NumaPlacement
from nvtopo.sinks.metrics.series import Family, declared, gauge, info

_CONTAINER: Final = ("namespace", "pod", "container")
_NONE: Final = "no container holds a GPU, or the kubelet's pod resources can't be read"
_UNKNOWN: Final = f"{_NONE}, or the NUMA node of one of its GPUs is not known"

GPU = info(
    "nvtopo_pod_gpu_info",
    "A GPU, or a share of one, that the container holds; the value is always 1.",
    (*_CONTAINER, "gpu", "UUID"),
    source="/var/lib/kubelet/pod-resources/kubelet.sock, List",
    absent=f"{_NONE}, or the device's name does not identify the GPU (MIG by the device plugin)",
)
MEMORY = gauge(
    "nvtopo_pod_numa_memory_bytes",
    "Memory of a container with GPUs on one NUMA node, in bytes. Local means near one of its GPUs; type file "
    "is page cache.",
    (*_CONTAINER, "numa_node", "type", "local"),
    source="memory.numa_stat of its cgroup (v2): anon, shmem, file without shmem",
    absent=_UNKNOWN,
)
CPUS = gauge(
    "nvtopo_pod_numa_cpus",
    "Number of CPUs of one NUMA node that a container with GPUs may use. Local means near one of its GPUs.",
    (*_CONTAINER, "numa_node", "local"),
    source="cpuset.cpus.effective of its cgroup (v2)",
    absent=_UNKNOWN,
)
REMOTE_RATIO = gauge(
    "nvtopo_pod_remote_memory_ratio",
    "Share (0 to 1) of the container's anonymous and shared memory on NUMA nodes that are near none of its GPUs.",
    _CONTAINER,
    source="nvtopo_pod_numa_memory_bytes, without page cache",
    absent=f"{_UNKNOWN}, or the container has no such memory",
)
_POD: Final = ("namespace", "pod")
_NO_GROUPS: Final = f"{_NONE}, or the NVLink groups of the node or one of the pod's GPUs are not known"
GROUPS = gauge(
    "nvtopo_pod_nvlink_groups",
    "Number of NVLink groups that the pod's GPUs are of; a GPU without NVLink is one of its own.",
    _POD,
    source="the kubelet's pod resources, and the node's NVLinks",
    absent=_NO_GROUPS,
)
FEWEST_GROUPS = gauge(
    "nvtopo_pod_nvlink_groups_possible",
    "Smallest number of NVLink groups into which the pod's GPUs would fit now, given what other pods hold.",
    _POD,
    source="the kubelet's pod resources, and the node's NVLinks",
    absent=f"{_NO_GROUPS}, or those of another pod's",
)
NIC = info(
    "nvtopo_pod_nic_info",
    "A NIC that the pod holds, by a device plugin or a resource claim; the value is always 1.",
    (*_POD, "nic"),
    source="/var/lib/kubelet/pod-resources/kubelet.sock, List",
    absent="no pod holds a NIC by its PCI address or name, or the kubelet's pod resources can't be read",
)
FAR_GPUS = gauge(
    "nvtopo_pod_far_gpus",
    "Number of the pod's GPUs that none of the NICs that it holds is nearest to.",
    _POD,
    source="the kubelet's pod resources, and distances by PCIe",
    absent="the pod holds no NIC",
)
SERIES = declared(globals())


class Holder(NamedTuple):
    """A container and what follows for it."""

    container: GpuContainer
    numa_placement: NumaPlacement


def families(holders: Iterable[Holder], uuids: dict[int, str], audits: Iterable[PodAudit] = ()) -> Iterator[Family]:
    """The families of these containers and pods; ``uuids`` is index → UUID of the node's GPUs."""
    gpus, memory, cpus, ratio = Family(GPU), Family(MEMORY), Family(CPUS), Family(REMOTE_RATIO)
    for container, numa_placement in holders:
        names = container.namespace, container.pod, container.container
        for index in numa_placement.gpus:
            gpus.add(1, *names, str(index), uuids[index])
        ratio.add(numa_placement.remote_memory_ratio, *names)
        if numa_placement.local_nodes is None:
            continue
        local = dict.fromkeys(numa_placement.local_nodes, "true")
        for kind, nodes in sorted(container.memory_bytes.items()):
            for node, count in nodes.items():
                memory.add(count, *names, str(node), kind, local.get(node, "false"))
        for node, count in numa_placement.cpus.items():
            cpus.add(count, *names, str(node), local.get(node, "false"))
    yield gpus
    yield memory
    yield cpus
    yield ratio
    yield from _audited(audits)


def _audited(audits: Iterable[PodAudit]) -> Iterator[Family]:
    groups, fewest, nics, far = Family(GROUPS), Family(FEWEST_GROUPS), Family(NIC), Family(FAR_GPUS)
    for one in audits:
        names = one.namespace, one.pod
        groups.add(one.groups, *names)
        fewest.add(one.fewest_groups, *names)
        far.add(None if one.far_gpus is None else len(one.far_gpus), *names)
        for nic in one.nics:
            nics.add(1, *names, nic)
    yield groups
    yield fewest
    yield nics
    yield far
