"""From what the kubelet says of containers to who holds which GPUs and NICs of the node."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from nvtopo.model.records.allocation import MOST_CONTAINERS, MOST_RESOURCES, Allocation, Held
from nvtopo.model.records.node import Nic, NodeTopology
from nvtopo.model.samples.pods import gpu_index

GPU_RESOURCES: Final = ("nvidia.com/gpu", "nvidia.com/mig-")
GPU_IDS: Final = ("GPU-", "MIG-")
GPU_DRIVER: Final = "gpu.nvidia.com"
_SEPARATORS: Final = str.maketrans({":": "-", ".": "-", "_": "-"})


class Device(NamedTuple):
    """Something that a container holds."""

    of: str
    """A device plugin's resource, or a DRA driver."""
    id: str
    """The device as that plugin or driver names it."""
    claimed: bool = False
    """Whether by a resource claim."""

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU, or a share of one."""
        if self.claimed:
            return self.of == GPU_DRIVER
        return self.of.startswith(GPU_RESOURCES) or self.id.startswith(GPU_IDS)


class Container(NamedTuple):
    """A container, and all devices that it holds."""

    namespace: str
    pod: str
    name: str
    devices: tuple[Device, ...]


def allocation(containers: Sequence[Container], node: NodeTopology, minors: Mapping[int, int]) -> Allocation:
    """Who holds what; ``minors`` is minor number → index of the node's GPUs.

    A GPU that the node's driver does not list now is one that can't be told.
    """
    if len(containers) > MOST_CONTAINERS:
        return Allocation(
            containers=(), unknown=f"{len(containers)} containers hold devices: at most {MOST_CONTAINERS} are read"
        )
    indices = {gpu.uuid: gpu.index for gpu in node.gpus}
    nics = {name: nic.name for nic in node.nics for name in _names(nic)}
    found = (_held(one, indices, minors, nics) for one in containers if one.devices)
    return Allocation(containers=tuple(sorted(found, key=lambda one: (one.namespace, one.pod, one.container))))


def _held(container: Container, indices: Mapping[str, int], minors: Mapping[int, int], nics: Mapping[str, str]) -> Held:
    gpus, unidentified, held_nics, others = set[int](), set[str](), set[str](), set[str]()
    known = {*indices.values()}
    for device in container.devices:
        nic = nics.get(device.id.translate(_SEPARATORS).removeprefix("pci-"))
        if device.is_gpu:
            name = f"{device.of}/{device.id}" if device.claimed else device.id
            index = gpu_index(name, indices, minors)
            if index in known and index is not None:
                gpus.add(index)
            else:
                unidentified.add(name)
        elif nic is not None:
            held_nics.add(nic)
        else:
            others.add(device.of)
    return Held(
        namespace=container.namespace,
        pod=container.pod,
        container=container.name,
        gpus=tuple(sorted(gpus)),
        unidentified=tuple(sorted(unidentified)),
        nics=tuple(sorted(held_nics)),
        resources=tuple(sorted(others)[:MOST_RESOURCES]),
    )


def _names(nic: Nic) -> list[str]:
    """What device plugins and DRA drivers call it: its PCI address, or one of its names, with dashes."""
    names = [nic.name, *nic.netdevs, *([nic.pci_address] if nic.pci_address else [])]
    return [name.translate(_SEPARATORS) for name in names]
