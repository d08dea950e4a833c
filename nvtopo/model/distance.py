"""How near the devices of one node are to each other: from their paths, or as another tool stated it."""

from nvtopo.model.locality import Locality, between, nccl_between
from nvtopo.model.node import Gpu, Nic, NodeTopology, Nvme

Device = Gpu | Nic | Nvme

_GPU_LEVELS = {"INTERNAL": Locality.PIX} | {level.name: level for level in Locality}


class Distances:
    """The distances of one node; made once, asked often."""

    def __init__(self, node: NodeTopology) -> None:
        self._one_numa_node = sum(1 for numa in node.numa if numa.cpus) == 1
        self._stated = {(stated.a, stated.b): Locality[stated.level] for stated in node.stated}
        self._stated |= {
            (f"GPU{pair.a}", f"GPU{pair.b}"): _GPU_LEVELS[pair.level]
            for pair in node.pairs
            if pair.level in _GPU_LEVELS
        }

    def level(self, one: Device, other: Device) -> Locality | None:
        """How near two devices are by nvidia-smi's rules; None where it is not known."""
        stated = self._stated_between(one, other)
        if stated is not None:
            return stated
        a, b = full_path(one), full_path(other)
        return between(a, b, same_numa=self._same_numa(one, other)) if a and b else None

    def nccl_level(self, one: Device, other: Device) -> Locality | None:
        """How near two devices are by NCCL's rules; None where it is not known.

        Of a stated level only this is certain: NCCL knows no NODE, and calls it PHB.
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
