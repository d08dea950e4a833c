"""What each NIC is for.

Nothing on a machine says it outright. A compute NIC is an RDMA NIC on a GPU's own PCIe switch; where no GPU has one
there (Grace, virtual machines), the NICs of the fastest model are. The NIC with a default route is the front. Every
other RDMA NIC is storage's.

A role is a property of the slot and the model, never of the moment: it stays while a port is down or slow, while a
GPU does not answer, while a NIC's devices are in another network namespace, and while its driver made none.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.nic_models import is_dpu, port_bytes_per_second
from nvtopo.model.conclusions.nics import NO_DEVICE, NO_DRIVER
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.conclusions.presence import missing_modules
from nvtopo.model.conclusions.rail_numbers import numbered
from nvtopo.model.records.node import Accelerator, Gpu, Nic, NodeTopology

Role = Literal["compute", "storage", "front", "other"]
GpuPlace = Gpu | Accelerator
"""Where a GPU is, whether it answers or not."""

_NVIDIA = "10de"
#: ConnectX virtual functions in a guest: those of cards of every rate have the same model.
_OF_ANY_GENERATION = frozenset({"15b3:101e"})
#: Below it a port is for storage or management: 100 Gb/s, as the slowest rails of machines with NVLink (ConnectX-5).
_RAIL_BYTES_PER_SECOND = 12_500_000_000


class _Kind(NamedTuple):
    """NICs that are for the same thing unless their place says otherwise."""

    model: str | None
    link_layer: str


def roles(node: NodeTopology, distances: Distances) -> dict[str, Role]:
    """NIC name → role; empty where the node has no GPU to say what compute is."""
    if not gpu_places(node):
        return {}
    compute = {nic.name for nic in compute_nics(node, distances)}
    return {nic.name: "compute" if nic.name in compute else _other(nic) for nic in node.nics}


def rails(node: NodeTopology, distances: Distances) -> dict[str, int]:
    """Compute NIC → rail. A NIC that is missing leaves its number free where its slot is known."""
    return numbered(compute_nics(node, distances), gpu_places(node), distances)


def gpu_places(node: NodeTopology) -> tuple[GpuPlace, ...]:
    """The GPUs that answer, and NVIDIA's GPUs on the bus that do not."""
    return (
        *node.gpus,
        *(silent for silent in node.accelerators if silent.model.startswith(_NVIDIA) and not silent.display),
    )


def compute_nics(node: NodeTopology, distances: Distances) -> list[Nic]:
    """The NICs that GPUs talk to other nodes with."""
    if not gpu_places(node):
        return []
    rdma = {nic.model for nic in node.nics if nic.ports and nic.model}
    fronts = {_slot(nic) for nic in node.nics if nic.default_route and is_dpu(nic.model)}
    candidates = [
        nic
        for nic in node.nics
        if not nic.default_route and _slot(nic) not in fronts and (nic.ports or _lacks_rdma(nic, rdma))
    ]
    near = {nic.name for gpu in gpu_places(node) for nic in _on_its_switch(distances, gpu, candidates)}
    near -= _outnumbered([nic for nic in candidates if nic.name in near])
    if not near:
        return _fastest_kind(candidates)
    return [nic for nic in candidates if nic.name in near or _lost_its_gpu(nic, near, candidates, node)]


def _slot(nic: Nic) -> str:
    """Domain, bus and device, without the function: both ports of a DPU are of its front if one is."""
    return (nic.pci_address or nic.name).rpartition(".")[0] or nic.name


def _outnumbered(nics: list[Nic]) -> set[str]:
    """The DPUs among these NICs, if they are no more than the others: those are the rails, and a DPU is the front.

    BlueFields that are rails themselves (SuperNICs) are one for each GPU, and more than what storage has.
    """
    dpus = {nic.name for nic in nics if is_dpu(nic.model)}
    others = [nic for nic in nics if nic.name not in dpus and _is_fast(nic)]
    return dpus if len(dpus) <= len(others) else set()


def _is_fast(nic: Nic) -> bool:
    """Whether its model could be a rail's; of a model that is not in the table, nothing is known against it."""
    rate = port_bytes_per_second(nic.model)
    return rate is None or rate >= _RAIL_BYTES_PER_SECOND


def _lacks_rdma(nic: Nic, rdma_models: Iterable[str | None]) -> bool:
    """Whether a NIC without an RDMA device is one with RDMA: others of its model are; if it is hidden, it may be."""
    return nic.model in rdma_models or (bool(nic.hidden_by) and port_bytes_per_second(nic.model) is not None)


def _on_its_switch(distances: Distances, gpu: GpuPlace, candidates: list[Nic]) -> list[Nic]:
    """The GPU's nearest NICs, if they are below the same root port: a farther one there is not its rail."""
    levels = [(level, nic) for nic in candidates if (level := distances.level(gpu, nic)) is not None]
    best = min((level for level, _ in levels), default=Locality.SYS)
    return [nic for level, nic in levels if level == best] if best <= Locality.PXB else []


def _lost_its_gpu(nic: Nic, near: set[str], candidates: list[Nic], node: NodeTopology) -> bool:
    """Whether the NIC is alone on a switch because its GPU has left the bus: a NIC of a rail's model, as deep.

    Only as evidence of a missing GPU goes: a hole in the modules' numbers (fixtures/hosts/h100-gpu-off-the-bus).
    """
    if not missing_modules(node) or not nic.path:
        return False
    root_port = _root_port(nic)
    if any(_root_port(device) == root_port for device in gpu_places(node)):
        return False
    return any(
        other.name in near and _kind(other).model == nic.model and other.path.count("/") == nic.path.count("/")
        for other in candidates
    )


def _root_port(device: GpuPlace | Nic) -> str:
    return "/".join(device.path.split("/")[:2])


def _fastest_kind(candidates: list[Nic]) -> list[Nic]:
    """All NICs of the fastest kind, InfiniBand before Ethernet and NICs before DPUs.

    A NIC without a known model is its own kind by link layer; there the rate of ports that are up decides. NICs that
    show no port are a kind too, if their model is known and no other of it shows one.
    """
    kinds: dict[_Kind, list[Nic]] = {}
    shown = {nic.model for nic in candidates if nic.ports}
    for nic in candidates:
        if nic.ports or (nic.model not in shown and port_bytes_per_second(nic.model) is not None):
            kinds.setdefault(_kind(nic), []).append(nic)
    if not kinds:
        return candidates
    front = _outnumbered(candidates)
    best = max(kinds, key=lambda kind: (kinds[kind][0].name not in front, *_rank(kind, kinds[kind])))
    hidden = [nic for nic in candidates if not nic.ports and nic.model and nic.model == best.model]
    found = kinds[best] if best.model else _fastest_up(kinds[best])
    return [nic for nic in candidates if nic in found or nic in hidden]


def _rank(kind: _Kind, nics: list[Nic]) -> tuple[int, bool, bool, int]:
    rate = port_bytes_per_second(kind.model) or max((_up_rate(nic) or 0 for nic in nics), default=0)
    return rate, kind.link_layer == "InfiniBand", not is_dpu(kind.model), len(nics)


def _fastest_up(nics: list[Nic]) -> list[Nic]:
    """The NICs with the best rate, and those whose rate is not known because no port is up."""
    best = max((_up_rate(nic) or 0 for nic in nics), default=0)
    return [nic for nic in nics if _up_rate(nic) in (best, None)]


def _up_rate(nic: Nic) -> int | None:
    """The best rate of a port that is up: a port that is down shows the rate of a link that was never trained."""
    rates = [port.rate_bytes_per_second for port in nic.ports if is_up(port) and port.rate_bytes_per_second]
    return max(rates, default=None)


def _kind(nic: Nic) -> _Kind:
    layers = sorted({port.link_layer for port in nic.ports if port.link_layer}, reverse=True)
    return _Kind(_generation(nic) if nic.model in _OF_ANY_GENERATION else nic.model, layers[0] if layers else "")


def _generation(nic: Nic) -> str | None:
    """The model with the first number of its firmware, which each generation of ConnectX has of its own."""
    return f"{nic.model} {nic.firmware.partition('.')[0]}" if nic.firmware else None


def _other(nic: Nic) -> Role:
    return "front" if nic.default_route else "storage" if nic.ports or _held(nic) else "other"


def _held(nic: Nic) -> bool:
    """Whether others have its devices; a NIC whose driver made none is for nothing."""
    return bool(nic.hidden_by) and nic.hidden_by not in (NO_DRIVER, NO_DEVICE)
