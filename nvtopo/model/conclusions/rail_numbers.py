"""Which rail a compute NIC is on: a number that is the slot's, so that a missing NIC renumbers no other.

Slots are what the GPUs' places show: the PCIe switches below which GPUs are, or, where no NIC shares a switch with a
GPU, the NUMA nodes. Each slot has as many numbers as the fullest one has NICs, in the order of PCI addresses, which is
the order of ports on every rail fabric. Where an administrator's own names say another order, the names are followed.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from nvtopo.model.conclusions.distance import Device, Distances
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.order import natural
from nvtopo.model.records.node import Accelerator, Gpu, Nic

#: The kernel's names (``mlx5_0``, ``rdmap79s0``, ``rocep25s0f0``, ``ibp12s0``, an address) follow the bus.
_KERNEL_NAME: Final = r"(?:mlx[45]_|bnxt_re|irdma|efa_|qedr|hns_|erdma_|mana_)\d+|(?:roce|ib|rdma)[Ppo]\w+|.*:.*"


def numbered(nics: Sequence[Nic], gpus: Sequence[Gpu | Accelerator], distances: Distances) -> dict[str, int]:
    """NIC name → rail."""
    by_name = sorted(nics, key=lambda nic: natural(nic.name))
    by_place = sorted(nics, key=lambda nic: (nic.pci_address or "", natural(nic.name)))
    placed = all(nic.pci_address and nic.path for nic in nics)
    own_order = by_name != by_place and not all(re.fullmatch(_KERNEL_NAME, nic.name) for nic in nics)
    if not placed or own_order:
        return {nic.name: rail for rail, nic in enumerate(by_name)}
    slots = _switch_slots(by_place, gpus, distances) or _numa_slots(by_place, gpus)
    return _with_holes(slots, by_place)


def _with_holes(slots: list[list[Nic]], by_place: list[Nic]) -> dict[str, int]:
    """Each slot has as many numbers as the fullest one has NICs.

    Plain counting where most slots are not full, or where they are not in the order of addresses.
    """
    size = max((len(slot) for slot in slots), default=0)
    full = Counter(len(slot) for slot in slots)[size]
    if 2 * full < len(slots) or [nic for slot in slots for nic in slot] != by_place:
        return {nic.name: rail for rail, nic in enumerate(by_place)}
    return {nic.name: rank * size + at for rank, slot in enumerate(slots) for at, nic in enumerate(slot)}


def _switch_slots(nics: list[Nic], gpus: Sequence[Gpu | Accelerator], distances: Distances) -> list[list[Nic]]:
    """The NICs below each switch that has GPUs, or lost them; empty where no NIC shares a switch with a GPU."""
    levels = [
        min((found for gpu in gpus if (found := distances.level(gpu, nic)) is not None), default=None) for nic in nics
    ]
    shared = [level for level in levels if level is not None and level <= Locality.PXB]
    if not shared:
        return []
    reach = max(shared)

    def together(one: Device, other: Device) -> bool:
        level = distances.level(one, other)
        return level is not None and level <= reach

    groups = _components([*gpus, *nics], together)
    groups.sort(key=lambda group: min(device.pci_address or "" for device in group))
    return [[device for device in group if isinstance(device, Nic)] for group in groups]


def _numa_slots(nics: list[Nic], gpus: Sequence[Gpu | Accelerator]) -> list[list[Nic]]:
    """The NICs of each NUMA node with GPUs, by number; one slot of all where a NIC is on none of these."""
    nodes = sorted({gpu.numa_node for gpu in gpus if gpu.numa_node is not None})
    if not nodes or any(nic.numa_node not in nodes for nic in nics):
        return [list(nics)]
    return [[nic for nic in nics if nic.numa_node == number] for number in nodes]


def _components(devices: list[Device], together: Callable[[Device, Device], bool]) -> list[list[Device]]:
    """The devices in groups, each reachable from each other by pairs that are together; order is kept."""
    groups: list[list[Device]] = []
    for device in devices:
        touched = [group for group in groups if any(together(device, member) for member in group)]
        rest = [group for group in groups if all(group is not other for other in touched)]
        groups = [*rest, [*(member for group in touched for member in group), device]]
    return groups
