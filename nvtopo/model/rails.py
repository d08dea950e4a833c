"""What each NIC is for, and which rail a compute NIC is on.

Nothing on a machine says it outright. A compute NIC is an RDMA NIC on a GPU's own PCIe switch; where no GPU has one
there (Grace, virtual machines), it is one of the fastest RDMA NICs, InfiniBand before Ethernet. The NIC with the
default route is the front. Every other RDMA NIC is storage's.
"""

import re
from typing import Literal

from nvtopo.model.distance import Distances
from nvtopo.model.locality import Locality
from nvtopo.model.node import Gpu, Nic, NodeTopology

Role = Literal["compute", "storage", "front", "other"]


def roles(node: NodeTopology, distances: Distances) -> dict[str, Role]:
    """NIC name → role; empty where the node has no GPU to say what compute is."""
    if not node.gpus:
        return {}
    compute = {nic.name for nic in _compute(node, distances)}
    return {nic.name: "compute" if nic.name in compute else _other(nic) for nic in node.nics}


def rails(node: NodeTopology, distances: Distances) -> dict[str, int]:
    """Compute NIC → rail: its place in the natural order of names, which is the order of ports on every rail fabric."""
    return {nic.name: rail for rail, nic in enumerate(sorted(_compute(node, distances), key=natural))}


def natural(nic: Nic) -> tuple[list[tuple[int, str]], str]:
    """``mlx5_2`` before ``mlx5_10``."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", nic.name)], nic.name


def _compute(node: NodeTopology, distances: Distances) -> list[Nic]:
    candidates = [nic for nic in node.nics if nic.ports and not nic.default_route]
    near = {nic.name for gpu in node.gpus for nic in _on_its_switch(distances, gpu, candidates)}
    return [nic for nic in candidates if nic.name in near] or _fastest(candidates)


def _on_its_switch(distances: Distances, gpu: Gpu, candidates: list[Nic]) -> list[Nic]:
    """The GPU's nearest NICs, if they are below the same root port: a farther one there is not its rail."""
    levels = [(level, nic) for nic in candidates if (level := distances.level(gpu, nic)) is not None]
    best = min((level for level, _ in levels), default=Locality.SYS)
    return [nic for level, nic in levels if level == best] if best <= Locality.PXB else []


def _fastest(candidates: list[Nic]) -> list[Nic]:
    best = max((_speed(nic) for nic in candidates), default=(0, False))
    return [nic for nic in candidates if _speed(nic) == best]


def _speed(nic: Nic) -> tuple[int, bool]:
    rates = [port.rate_bytes_per_second or 0 for port in nic.ports]
    return max(rates, default=0), any(port.link_layer == "InfiniBand" for port in nic.ports)


def _other(nic: Nic) -> Role:
    return "front" if nic.default_route else "storage" if nic.ports else "other"
