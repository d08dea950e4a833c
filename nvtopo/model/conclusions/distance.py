"""How near the devices of one node are to each other: from their paths, or as another tool stated it."""

from typing import NamedTuple

from nvtopo.model.conclusions.locality import Locality, nccl_between, of_components
from nvtopo.model.records.node import Accelerator, Gpu, Nic, NodeTopology, Nvme

Device = Gpu | Nic | Nvme | Accelerator

#: Pairs that are remembered: those of GPUs and NICs are asked for again and again.
_MOST_KNOWN = 1 << 15
_GPU_LEVELS = {"INTERNAL": Locality.PIX} | {level.name: level for level in Locality}


class _Located(NamedTuple):
    """A device and where it is, taken apart once."""

    device: Device
    key: str
    path: list[str]


class Distances:
    """The distances between the devices of one node."""

    def __init__(self, node: NodeTopology) -> None:
        self._places: dict[int, _Located] = {}
        self._known: dict[tuple[int, int], Locality | None] = {}
        self._one_numa_node = sum(1 for numa in node.numa if numa.cpus) == 1
        self._stated = {(stated.a, stated.b): Locality[stated.level] for stated in node.stated}
        self._stated |= {
            (f"GPU{pair.a}", f"GPU{pair.b}"): _GPU_LEVELS[pair.level]
            for pair in node.pairs
            if pair.level in _GPU_LEVELS
        }

    def level(self, one: Device, other: Device) -> Locality | None:
        """How near two devices of the node are by nvidia-smi's rules; None where it is not known."""
        pair = (id(one), id(other))
        if pair in self._known:
            return self._known[pair]
        level = self._level(one, other)  # which keeps both
        if len(self._known) < _MOST_KNOWN:
            self._known[pair] = level
        return level

    def _level(self, one: Device, other: Device) -> Locality | None:
        mine, theirs = self._place(one), self._place(other)
        stated = self._stated.get((mine.key, theirs.key)) or self._stated.get((theirs.key, mine.key))
        if stated is not None:
            return stated
        if not mine.path or not theirs.path:
            return None
        return of_components(mine.path, theirs.path, same_numa=self._same_numa(one, other))

    def _place(self, device: Device) -> "_Located":
        place = self._places.get(id(device))
        if place is None:
            path = full_path(device)
            place = self._places[id(device)] = _Located(device, key(device), path.split("/") if path else [])
        return place

    def nccl_level(self, one: Device, other: Device) -> Locality | None:
        """How near two devices are by NCCL's rules; None where it is not known.

        A level stated by another tool is converted: NCCL has no NODE and uses PHB instead.
        """
        a, b = full_path(one), full_path(other)
        if a and b:
            return nccl_between(a, b, same_numa=self._same_numa(one, other))
        stated = self._stated_between(one, other)
        return Locality.PHB if stated is Locality.NODE else stated

    def _stated_between(self, one: Device, other: Device) -> Locality | None:
        return self._stated.get((key(one), key(other))) or self._stated.get((key(other), key(one)))

    def _same_numa(self, one: Device, other: Device) -> bool | None:
        """Whether two devices share a NUMA node. A machine with one node has no other; else unknown stays unknown."""
        if one.numa_node is not None and other.numa_node is not None:
            return one.numa_node == other.numa_node
        return True if self._one_numa_node else None


def key(device: Device) -> str:
    """What a device is called in ``NodeTopology.stated``."""
    return device.key if isinstance(device, Gpu) else device.name


def full_path(device: Device) -> str:
    """A device's whole path, itself last; empty where it is not known."""
    return f"{device.path}/{device.pci_address}" if device.path and device.pci_address else ""
