"""What follows from a node as a document: the ``derived`` of ``dump --format json`` and of the aggregator's API.

Numbers become names here: ``GPU0``, ``NV18``. Nothing parses them.
"""

from nvtopo.model.conclusions import health_words, names, paths
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.fabric import Verdict
from nvtopo.model.conclusions.health import NodeHealth
from nvtopo.model.conclusions.health_kinds import KINDS, Code, Level, Reason
from nvtopo.model.conclusions.nvlink_path import RateSource
from nvtopo.model.conclusions.rails import Role
from nvtopo.model.records.record import Problem, Record


class ReasonEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Why something is not ``ok``."""

    code: Code
    level: Level
    subject: str
    """``GPU0``, a NIC's name, or ``node``."""
    text: str
    """The reason in words."""


class HealthEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The health of a node and its parts."""

    level: Level
    ready: bool | None
    """As the label ``nvtopo.io/ready``; null where that is absent."""
    gpus: dict[str, Level]
    nics: dict[str, Level]
    reasons: tuple[ReasonEntry, ...]


class PairBandwidth(Record, frozen=True, kw_only=True):
    """What two GPUs talk over."""

    a: str
    b: str
    link: str | None = None
    """``NV18``, or the PCIe level; absent where it is not known."""
    bytes_per_second: int | None = None
    """Bandwidth in one direction."""
    source: RateSource | None = None
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


class DerivedDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Conclusions. Every field is always present; null means that it can't be known."""

    nvlink_groups: tuple[tuple[int, ...], ...] | None
    """GPU indices connected over usable NVLink, groups of more than one; null under MIG, and while links train."""
    nvlink_full_mesh: tuple[bool, ...] | None
    """For each group: whether every pair in it has a usable path."""
    nvlink_domain: str | None
    """``<clusterUUID>.<cliqueID>``."""
    nvlink_degraded: tuple[int, ...]
    """GPUs with fewer usable links than their best sibling has."""
    fabric: Verdict
    gpu_pairs: tuple[PairBandwidth, ...]
    nearest_nics: dict[str, NearestNics]
    nic_roles: dict[str, Role]
    """NIC → compute, storage, front or other; empty on a node without a GPU."""
    rails: dict[str, int]
    """Compute NIC → rail."""
    gpudirect: str | None
    """How a NIC could reach GPU memory: dma-buf, peermem or none; null without a driver or without RDMA."""
    pcie_below_best: tuple[str, ...]
    """GPUs and NICs whose PCIe link has fewer lanes, or for a NIC a lower generation, than both ends support."""
    numa: dict[str, int | str | None]
    """The GPU's NUMA node; a list such as ``0-1`` where the input states several."""
    cpu_affinity: dict[str, str]
    complete: bool
    """False if something is hidden or could not be read."""
    problems: tuple[Problem, ...]
    health: HealthEntry


def of(derived: Derived) -> DerivedDocument:
    """These conclusions as a document."""
    return DerivedDocument(
        nvlink_groups=derived.nvlink_groups,
        nvlink_full_mesh=derived.nvlink_full_mesh,
        nvlink_domain=derived.nvlink_domain,
        nvlink_degraded=derived.nvlink_degraded,
        fabric=derived.fabric,
        gpu_pairs=tuple(_pair(pair) for pair in derived.gpu_pairs),
        nearest_nics={names.gpu(index): _nearest(nics) for index, nics in derived.nearest_nics.items()},
        nic_roles=derived.nic_roles,
        rails=derived.rails,
        gpudirect=derived.gpudirect,
        pcie_below_best=(*map(names.gpu, derived.gpus_below_best), *derived.nics_below_best),
        numa={names.gpu(index): numa for index, numa in derived.numa.items()},
        cpu_affinity={names.gpu(index): cpus for index, cpus in derived.cpu_affinity.items()},
        complete=derived.complete,
        problems=derived.problems,
        health=_health(derived.health),
    )


def _pair(pair: paths.PairPath) -> PairBandwidth:
    return PairBandwidth(
        a=names.gpu(pair.a),
        b=names.gpu(pair.b),
        link=names.link(pair),
        bytes_per_second=pair.bytes_per_second,
        source=pair.source,
    )


def _nearest(nearest: paths.NearestNics) -> NearestNics:
    return NearestNics(
        level=None if nearest.level is None else nearest.level.name,
        nccl_level=None if nearest.nccl_level is None else nearest.nccl_level.name,
        acs_redirect=nearest.acs_redirect,
        nics=nearest.nics,
    )


def _health(health: NodeHealth) -> HealthEntry:
    return HealthEntry(
        level=health.level,
        ready=health.ready,
        gpus={names.gpu(index): gpu.level for index, gpu in health.gpus.items()},
        nics={name: nic.level for name, nic in health.nics.items()},
        reasons=tuple(_reason(reason) for reason in health.reasons),
    )


def _reason(reason: Reason) -> ReasonEntry:
    return ReasonEntry(
        code=reason.code,
        level=KINDS[reason.code].level,
        subject=health_words.subject(reason),
        text=health_words.predicate(reason),
    )
