"""Everything that follows from a node's facts: pure functions of ``NodeTopology``."""

from typing import Final

from nvtopo.model.conclusions import fabric, health, nvlink, unread
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.health import NodeHealth
from nvtopo.model.conclusions.paths import NearestNics, PairPath, nearest_nics, pair_paths
from nvtopo.model.conclusions.pcie import below_best, narrowed
from nvtopo.model.conclusions.rails import Role, rails, roles
from nvtopo.model.records.node import Gpu, NodeTopology
from nvtopo.model.records.record import Problem, Record


class Derived(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Conclusions, in numbers: a GPU is its index. None means that it can't be known."""

    nvlink_groups: tuple[tuple[int, ...], ...] | None
    """GPU indices connected over usable NVLink, groups of more than one; null under MIG, and while links train."""
    nvlink_full_mesh: tuple[bool, ...] | None
    """For each group: whether every pair in it has a usable path."""
    nvlink_domain: str | None
    nvlink_degraded: tuple[int, ...]
    """GPUs with fewer usable links than their best sibling has."""
    fabric: fabric.Verdict
    """NotApplicable, SingleNode, Attached, Registering, Error, Unhealthy, Mixed or Unknown."""
    gpu_pairs: tuple[PairPath, ...]
    """Every pair, by index."""
    nearest_nics: dict[int, NearestNics]
    """GPU index → NICs."""
    nic_roles: dict[str, Role]
    """NIC → compute, storage, front or other; empty on a node without a GPU."""
    rails: dict[str, int]
    """Compute NIC → rail."""
    gpudirect: str | None
    """How a NIC could reach GPU memory: dma-buf, peermem or none; null without a driver or without RDMA."""
    gpus_below_best: tuple[int, ...]
    """GPUs whose PCIe link has fewer lanes than both ends could have. Their generation is lowered while idle."""
    nics_below_best: tuple[str, ...]
    """NICs whose PCIe link has fewer lanes or a lower generation than both ends support."""
    numa: dict[int, int | str | None]
    """GPU index → its NUMA node; a list such as ``0-1`` where the input states several."""
    cpu_affinity: dict[int, str]
    """GPU index → CPUs near it, in the kernel's list format; empty if they are not known."""
    complete: bool
    """False if something is hidden or could not be read."""
    problems: tuple[Problem, ...]
    health: NodeHealth
    """Health of the node, its GPUs and its NICs; all outputs read this."""


def derive(node: NodeTopology) -> Derived:
    """Everything that follows from the facts."""
    found = nvlink.paths(node)
    groups = nvlink.groups(node, found)
    distances = Distances(node)
    nic_roles = roles(node, distances)
    judged = health.of(node, nic_roles)
    return Derived(
        nvlink_groups=groups,
        nvlink_full_mesh=None if groups is None else tuple(nvlink.is_full_mesh(group, found) for group in groups),
        nvlink_domain=fabric.domain(node),
        nvlink_degraded=tuple(index for index, one in judged.gpus.items() if health.gpu_nvlink_degraded(one)),
        fabric=fabric.node_verdict(node),
        gpu_pairs=pair_paths(node, distances, found),
        nearest_nics={gpu.index: nearest_nics(node, distances, gpu) for gpu in node.gpus},
        nic_roles=nic_roles,
        rails=rails(node, distances),
        gpudirect=gpudirect(node),
        gpus_below_best=gpus_below_best(node),
        nics_below_best=tuple(nic.name for nic in node.nics if below_best(nic.link)),
        numa={gpu.index: gpu.numa_nodes or gpu.numa_node for gpu in node.gpus},
        cpu_affinity={gpu.index: cpu_affinity(node, gpu) for gpu in node.gpus},
        complete=groups is not None and not node.problems and not any(nic.hidden_by for nic in node.nics),
        problems=node.problems,
        health=judged,
    )


#: Files by which it is known which modules are loaded.
_MODULES: Final = ("/proc/driver/nvidia/", "/sys/module/nvidia", "/sys/kernel/mm/memory_peers/")


def gpudirect(node: NodeTopology) -> str | None:
    """What the loaded kernel modules allow; dma-buf if both are possible, as NVIDIA recommends."""
    if node.host.driver_version is None or not any(nic.ports for nic in node.nics) or "host" in unread.sources(node):
        return None
    if node.host.nvidia_open:
        return "dma-buf"
    if any(problem.source == "host" and problem.subject.startswith(_MODULES) for problem in node.problems):
        return None
    return "peermem" if node.host.peermem else "none"


def gpus_below_best(node: NodeTopology) -> tuple[int, ...]:
    """Whose PCIe link could have more lanes."""
    return tuple(gpu.index for gpu in node.gpus if narrowed(gpu.link))


def cpu_affinity(node: NodeTopology, gpu: Gpu) -> str:
    """The CPUs near a GPU, in the kernel's list format; empty if they are not known."""
    if gpu.local_cpus:
        return gpu.local_cpus
    return next((numa.cpus for numa in node.numa if numa.index == gpu.numa_node), "")
