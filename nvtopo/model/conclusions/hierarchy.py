"""The devices as a tree for text and pictures: NUMA nodes, host bridges, switches, devices.

Built from the paths if they are known. If another tool states only levels, devices are grouped by these: PIX means a
common switch, PXB a chain of switches, PHB a host bridge, NODE a NUMA node.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nvtopo.model.conclusions.distance import Device, Distances, full_path
from nvtopo.model.conclusions.locality import Locality
from nvtopo.model.conclusions.order import nics_in_order
from nvtopo.model.conclusions.pcie import Functions, link_at
from nvtopo.model.records.facts import NumaNode, PcieLink
from nvtopo.model.records.node import Gpu, Nic, NodeTopology
from nvtopo.model.records.snapshot import Snapshot


class Branch(NamedTuple):
    """A host bridge, or a switch below it."""

    name: str
    """``pci0000:15``, or the address of a switch's upstream port; empty where only levels are stated."""
    link: PcieLink | None
    """A switch's upstream link, with the maxima that both ends support."""
    branches: tuple["Branch", ...]
    devices: tuple[Device, ...]

    @property
    def all_devices(self) -> tuple[Device, ...]:
        """The devices here and below."""
        return (*self.devices, *(device for branch in self.branches for device in branch.all_devices))


class NumaBranch(NamedTuple):
    """One NUMA node with the host bridges near it; without a number, the devices whose node is not known."""

    number: int | None
    memory: NumaNode | None
    """The node's CPUs and memory."""
    bridges: tuple[Branch, ...]

    @property
    def all_devices(self) -> tuple[Device, ...]:
        """The devices of the node."""
        return tuple(device for bridge in self.bridges for device in bridge.all_devices)


def functions_of(snapshot: Snapshot | None) -> Functions:
    """Every PCI function of a capture."""
    devices = snapshot.pci.devices if snapshot is not None and snapshot.pci else ()
    return {device.address: device for device in devices}


def link_of(device: Device, functions: Functions) -> PcieLink | None:
    """A device's upstream link, with the maxima that both ends support; of a GPU as its driver reports it."""
    known = device.link if isinstance(device, Gpu) else None
    known = known or (link_at(device.pci_address, functions) if device.pci_address else None)
    return known or (device.link if isinstance(device, Nic) else None)


def hierarchy(node: NodeTopology, functions: Functions) -> tuple[NumaBranch, ...]:
    """The NUMA nodes by number, devices without a known node last. A node with CPUs is listed even without devices."""
    bridges: dict[int | None, list[Branch]] = {numa.index: [] for numa in node.numa if numa.cpus}
    devices: tuple[Device, ...] = (*node.gpus, *node.accelerators, *nics_in_order(node), *node.nvmes)
    for root, below in _by_root(device for device in devices if full_path(device)).items():
        bridges.setdefault(_numa_of(node, root, below), []).append(_branch(root, below, 1, functions))
    for index, branch in _stated(node, [device for device in devices if not full_path(device)]):
        bridges.setdefault(index, []).append(branch)
    memory = {numa.index: numa for numa in node.numa}
    order = sorted(bridges, key=lambda index: (index is None, index or 0))
    return tuple(
        NumaBranch(index, memory.get(index) if index is not None else None, tuple(bridges[index])) for index in order
    )


def _by_root(devices: Iterable[Device]) -> dict[str, list[Device]]:
    roots: dict[str, list[Device]] = {}
    for device in devices:
        roots.setdefault(device.path.partition("/")[0], []).append(device)
    return dict(sorted(roots.items()))


def _numa_of(node: NodeTopology, root: str, below: list[Device]) -> int | None:
    """The NUMA node of a host bridge: its devices', else its other functions', else the machine's only one."""
    own = next((device.numa_node for device in below if device.numa_node is not None), None)
    if own is None:
        own = next((bridge.numa_node for bridge in node.pci if bridge.root == root), None)
    with_cpus = [numa.index for numa in node.numa if numa.cpus]
    return with_cpus[0] if own is None and len(with_cpus) == 1 else own


def _branch(name: str, devices: list[Device], depth: int, functions: Functions) -> Branch:
    """What hangs below ``name``. Of a path every second bridge is a switch's upstream port, the root port left out."""
    here: list[Device] = []
    below: dict[str, list[Device]] = {}
    for device in devices:
        components = device.path.split("/")
        if len(components) > depth + 1:
            below.setdefault(components[depth + 1], []).append(device)
        else:
            here.append(device)
    branches = (_branch(switch, found, depth + 2, functions) for switch, found in sorted(below.items()))
    return Branch(name, link_at(name, functions), tuple(branches), tuple(here))


def _stated(node: NodeTopology, devices: list[Device]) -> list[tuple[int | None, Branch]]:
    """Host bridges, each with its NUMA node, of devices whose paths are not known."""
    distances = Distances(node)
    with_cpus = [numa.index for numa in node.numa if numa.cpus]
    alone = with_cpus[0] if len(with_cpus) == 1 else None
    found: list[tuple[int | None, Branch]] = []
    for group in _groups(devices, Locality.NODE, distances.level):
        index = next((device.numa_node for device in group if device.numa_node is not None), alone)
        found += [(index, _bridge(below, distances)) for below in _groups(group, Locality.PHB, distances.level)]
    return found


def _bridge(devices: list[Device], distances: Distances) -> Branch:
    branches, alone = [], []
    for below in _groups(devices, Locality.PXB, distances.level):
        near = _groups(below, Locality.PIX, distances.level)
        if len(below) == 1:
            alone += below
        elif len(near) == 1:
            branches.append(Branch("", None, (), tuple(below)))
        else:
            branches.append(Branch("", None, tuple(Branch("", None, (), tuple(group)) for group in near), ()))
    return Branch("", None, tuple(branches), tuple(alone))


def _groups(
    devices: list[Device], level: Locality, between: Callable[[Device, Device], Locality | None]
) -> list[list[Device]]:
    """The devices in groups whose members are connected by this level or a nearer one; order is kept."""
    group_of = {position: [position] for position in range(len(devices))}
    for one in range(len(devices)):
        for other in range(one + 1, len(devices)):
            if group_of[one] is group_of[other]:
                continue
            found = between(devices[one], devices[other])
            if found is not None and found <= level:
                merged = group_of[one] + group_of[other]
                for position in merged:
                    group_of[position] = merged
    distinct = {min(group): group for group in group_of.values()}
    return [[devices[position] for position in sorted(group)] for _, group in sorted(distinct.items())]
