"""The conclusions that users draw from a node, drawn once and for all: pure functions of ``NodeTopology``."""

from nvtopo.model import fabric, nvlink
from nvtopo.model.distance import Distances
from nvtopo.model.locality import Locality
from nvtopo.model.node import Gpu, Nic, NodeTopology
from nvtopo.model.pcie import bytes_per_second
from nvtopo.model.rails import rails, roles
from nvtopo.model.record import Problem, Record


class PairBandwidth(Record, frozen=True, kw_only=True):
    """What two GPUs talk over."""

    a: str
    b: str
    link: str | None = None
    """``NV18``, or the PCIe level; absent where it is not known."""
    bytes_per_second: int | None = None
    """One direction."""
    source: str | None = None
    """``driver``: the driver reports the links' rate. ``table``: nominal rate of the link's generation."""


class NearestNics(Record, frozen=True, kw_only=True):
    """The NICs nearest to one GPU."""

    level: str | None = None
    """By nvidia-smi's rules; absent where it is not known."""
    nccl_level: str | None = None
    """By NCCL's rules: above PXB, NCCL uses no GPUDirect RDMA by default."""
    acs_redirect: bool | None = None
    """Whether traffic to them is sent up to the root although they share a switch; absent where that is not known."""
    nics: tuple[str, ...] = ()
    """All NICs at the best level; at SYS that is every NIC, which means that none is near."""


class Derived(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Conclusions. Every field is always present; null means that it can't be known."""

    nvlink_groups: tuple[tuple[int, ...], ...] | None
    """GPU indices connected over usable NVLink, groups of more than one; null under MIG, and while links train."""
    nvlink_full_mesh: tuple[bool, ...] | None
    """For each group: whether every pair in it has a usable path."""
    nvlink_domain: str | None
    nvlink_degraded: tuple[int, ...]
    """GPUs with fewer usable links than their best sibling has."""
    fabric: str
    """NotApplicable, SingleNode, Attached, Registering, Error, Unhealthy or Mixed."""
    gpu_pairs: tuple[PairBandwidth, ...]
    nearest_nics: dict[str, NearestNics]
    nic_roles: dict[str, str]
    """NIC → compute, storage, front or other; empty on a node without a GPU."""
    rails: dict[str, int]
    """Compute NIC → rail."""
    gpudirect: str | None
    """How a NIC could reach GPU memory: dma-buf, peermem or none; null without a driver or without RDMA."""
    pcie_below_best: tuple[str, ...]
    """GPUs and NICs whose PCIe link has fewer lanes, or for a NIC a lower generation, than both ends could have."""
    numa: dict[str, int | str | None]
    """The GPU's NUMA node; a list such as ``0-1`` where the input states several."""
    cpu_affinity: dict[str, str]
    complete: bool
    """False where something is hidden from us or could not be read."""
    problems: tuple[Problem, ...]


def derive(node: NodeTopology) -> Derived:
    """Everything that follows from the facts."""
    groups = nvlink.groups(node)
    found = nvlink.paths(node)
    distances = Distances(node)
    return Derived(
        nvlink_groups=groups,
        nvlink_full_mesh=None if groups is None else tuple(nvlink.is_full_mesh(group, found) for group in groups),
        nvlink_domain=fabric.domain(node),
        nvlink_degraded=nvlink.degraded(node),
        fabric=fabric.node_verdict(node),
        gpu_pairs=tuple(
            _pair(distances, one, other, found.get((one.index, other.index)))
            for position, one in enumerate(node.gpus)
            for other in node.gpus[position + 1 :]
        ),
        nearest_nics={gpu.key: nearest_nics(node, distances, gpu) for gpu in node.gpus},
        nic_roles=dict(roles(node, distances)),
        rails=rails(node, distances),
        gpudirect=gpudirect(node),
        pcie_below_best=pcie_below_best(node),
        numa={gpu.key: gpu.numa_nodes or gpu.numa_node for gpu in node.gpus},
        cpu_affinity={gpu.key: cpu_affinity(node, gpu) for gpu in node.gpus},
        complete=groups is not None and not node.problems,
        problems=node.problems,
    )


def nearest_nics(node: NodeTopology, distances: Distances, gpu: Gpu) -> NearestNics:
    """The NICs at the best level that is known, and that level."""
    levels = [(found, nic) for nic in node.nics if (found := distances.level(gpu, nic)) is not None]
    if not levels:
        return NearestNics()
    best = min(found for found, _ in levels)
    nics = [nic for found, nic in levels if found == best]
    nccl = [found for nic in nics if (found := distances.nccl_level(gpu, nic)) is not None]
    return NearestNics(
        level=best.name,
        nccl_level=min(nccl).name if nccl else None,
        acs_redirect=_redirected(gpu, nics) if best <= Locality.PXB else None,
        nics=tuple(nic.name for nic in nics),
    )


def _redirected(gpu: Gpu, nics: list[Nic]) -> bool | None:
    words = {gpu.acs_redirect, *(nic.acs_redirect for nic in nics)}
    return True if True in words else None if None in words else False


def gpudirect(node: NodeTopology) -> str | None:
    """What the loaded modules allow; dma-buf is what NVIDIA recommends where both are possible."""
    if node.host.driver_version is None or not any(nic.ports for nic in node.nics):
        return None
    return "dma-buf" if node.host.nvidia_open else "peermem" if node.host.peermem else "none"


def pcie_below_best(node: NodeTopology) -> tuple[str, ...]:
    """Who has a PCIe link that could be better. A GPU's generation is no sign: it is lowered while idle."""
    gpus = (gpu.key for gpu in node.gpus if gpu.link and (gpu.link.width or 0) < (gpu.link.max_width or 0))
    return (*gpus, *(nic.name for nic in node.nics if nic.link is not None))


def cpu_affinity(node: NodeTopology, gpu: Gpu) -> str:
    """The CPUs near a GPU, in the kernel's list format; empty where nobody says."""
    if gpu.local_cpus:
        return gpu.local_cpus
    return next((numa.cpus for numa in node.numa if numa.index == gpu.numa_node), "")


def _pair(distances: Distances, one: Gpu, other: Gpu, path: nvlink.Path | None) -> PairBandwidth:
    if path is not None:
        return PairBandwidth(
            a=one.key,
            b=other.key,
            link=f"NV{path.links}",
            bytes_per_second=path.bytes_per_second,
            source=path.source,
        )
    found = distances.level(one, other)
    rates = (bytes_per_second(one.link), bytes_per_second(other.link))
    known = [rate for rate in rates if rate is not None]
    return PairBandwidth(
        a=one.key,
        b=other.key,
        link=None if found is None else found.name,
        bytes_per_second=min(known) if len(known) == len(rates) else None,
        source="table" if len(known) == len(rates) else None,
    )
