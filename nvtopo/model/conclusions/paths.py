"""What each pair of GPUs talks over: NVLink where there is a usable path, else PCIe; and which NICs are near a GPU."""

from collections.abc import Mapping
from typing import NamedTuple

from nvtopo.model.conclusions import nvlink_path
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.pcie import bytes_per_second
from nvtopo.model.records.node import Gpu, Nic, NodeTopology


class PairPath(NamedTuple):
    """What two GPUs talk over."""

    a: int
    """Index of the one GPU."""
    b: int
    """Index of the other, which is larger."""
    nvlinks: int | None = None
    """How many usable NVLinks; None where PCIe connects the two."""
    level: Locality | None = None
    """How near the two are on PCIe; None where NVLink connects them, or it is not known."""
    bytes_per_second: int | None = None
    """Bandwidth in one direction."""
    source: nvlink_path.RateSource | None = None
    """Who says that rate; None where there is none."""


class NearestNics(NamedTuple):
    """The NICs nearest to one GPU."""

    level: Locality | None = None
    """By nvidia-smi's rules; None where it is not known."""
    nccl_level: Locality | None = None
    """By NCCL's rules: above PXB, NCCL uses no GPUDirect RDMA by default."""
    acs_redirect: bool | None = None
    """Whether traffic to them is sent up to the root although they share a switch; None where that is not known."""
    nics: tuple[str, ...] = ()
    """All NICs at the best level; at SYS that is every NIC, which means that none is near."""


def pair_paths(
    node: NodeTopology, distances: Distances, found: Mapping[tuple[int, int], nvlink_path.Path]
) -> tuple[PairPath, ...]:
    """Every pair of GPUs, by index; ``found`` are the NVLink paths."""
    return tuple(
        _pair(distances, one, other, found.get((one.index, other.index)), hidden=node.nvlink_hidden)
        for position, one in enumerate(node.gpus)
        for other in node.gpus[position + 1 :]
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
        level=best,
        nccl_level=min(nccl, default=None),
        acs_redirect=_redirected(gpu, nics) if best <= Locality.PXB else None,
        nics=tuple(nic.name for nic in nics),
    )


def _redirected(gpu: Gpu, nics: list[Nic]) -> bool | None:
    words = {gpu.acs_redirect, *(nic.acs_redirect for nic in nics)}
    return True if True in words else None if None in words else False


def _pair(distances: Distances, one: Gpu, other: Gpu, path: nvlink_path.Path | None, *, hidden: bool) -> PairPath:
    """What two GPUs talk over. While NVLink is hidden, nothing shows that it is PCIe."""
    if path is not None:
        return PairPath(one.index, other.index, path.links, None, path.bytes_per_second, path.source)
    level = distances.level(one, other)
    rates = (bytes_per_second(one.link), bytes_per_second(other.link))
    known = [rate for rate in rates if rate is not None]
    if hidden or len(known) < len(rates):
        return PairPath(one.index, other.index, level=level)
    return PairPath(one.index, other.index, level=level, bytes_per_second=min(known), source="table")
