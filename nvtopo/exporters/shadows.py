"""Shadows: devices of our own DRA driver that say of a GPU or NIC of another driver what it belongs with.

A claim ties a shadow to the GPU by its PCI address, and shadows to one another. What is not known is not published,
so that no claim matches by it. A GPU in MIG mode has no shadow: its parts are devices, and they share its address. One
more device stands for the whole node, since the scheduler takes seconds over as many shadows as a whole node has.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from nvtopo.cluster.slices import OWN_DRIVER
from nvtopo.model.conclusions import fabric, health_words, meshes, rails
from nvtopo.model.conclusions.complexes import Complex, complexes
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.health import Health, NodeHealth, in_the_way, of, worst
from nvtopo.model.conclusions.health_kinds import KINDS, Level, Reason
from nvtopo.model.formats import cpulist
from nvtopo.model.records.node import Gpu, Nic, NodeTopology

DRIVER: Final = OWN_DRIVER
STANDARD: Final = "resource.kubernetes.io"
NIC_DRIVER: Final = "dra.net"
BUS_ID: Final = f"{STANDARD}/pciBusID"
NIC_ADDRESS: Final = f"{NIC_DRIVER}/pciAddress"
DEGRADED: Final = f"{DRIVER}/degraded"
_NOT_KNOWN: Final[frozenset[Level]] = frozenset(("unknown", "registering", "stale"))
LONGEST_VALUE: Final = 64
"""Characters of an attribute's string, by the API server."""


class Shadow(NamedTuple):
    """One device."""

    name: str
    attributes: Mapping[str, str | int]
    """Names without a domain are our driver's."""
    ill: Reason | None = None
    """Why claims that ask for topology avoid it."""
    known: bool = True
    """Whether its health is known."""
    down: str = ""
    """Its NVLinks that are down, as a list of numbers."""

    @property
    def words(self) -> str:
        """Why it is ill, for people, with the links that are down; empty if it is not."""
        if self.ill is None:
            return ""
        said = health_words.sentence(self.ill)
        return f"{said}; down: {self.down}" if self.down and KINDS[self.ill.code].nvlink else said


class Shadows(NamedTuple):
    """Of one node."""

    nodes: tuple[Shadow, ...] = ()
    """The whole node; none if it has no GPUs, or parts of GPUs."""
    gpus: tuple[Shadow, ...] = ()
    nics: tuple[Shadow, ...] = ()


def shadows(node: NodeTopology) -> Shadows:
    """A shadow for each GPU and each compute NIC whose address is known, by address."""
    distances = Distances(node)
    judged = of(node, rails.roles(node, distances))
    numbers = rails.rails(node, distances)
    together = complexes(node, distances)
    gpus = sorted(_gpus(node, together, numbers, judged.gpus), key=lambda one: one.name)
    nics = sorted(_nics(node, together, numbers, judged.nics), key=lambda one: one.name)
    return Shadows(tuple(_nodes(node, judged)), tuple(gpus), tuple(nics))


def _nodes(node: NodeTopology, judged: NodeHealth) -> Iterator[Shadow]:
    if not node.gpus or any(gpu.mig for gpu in node.gpus):
        return
    groups = meshes.meshes(node)
    products = {gpu.name for gpu in node.gpus}
    own: dict[str, str | int | None] = {
        "type": "node-shadow",
        "gpus": len(node.gpus),
        "nvlinkGroups": None if groups is None else len(groups),
        "clique": fabric.domain(node),
        "product": products.pop() if len(products) == 1 else None,
    }
    bad = (reason for reason in judged.reasons if KINDS[reason.code].ready is False)
    yield Shadow("node", _known(own), ill=worst(bad), known=judged.level not in _NOT_KNOWN)


def _gpus(
    node: NodeTopology, together: tuple[Complex, ...], numbers: Mapping[str, int], health: Mapping[int, Health]
) -> Iterator[Shadow]:
    addresses = {gpu.index: gpu.pci_address for gpu in node.gpus}
    group_of = {index: addresses[mesh[0]] for mesh in meshes.meshes(node) or () for index in mesh}
    complex_of = {gpu.index: one.name for one in together for gpu in one.gpus}
    rail_of = {index: rail for one in together for index, rail in one.rails(numbers).items()}
    for gpu in node.gpus:
        if gpu.pci_address is None or gpu.mig:
            continue
        own = {
            "uuid": gpu.uuid,
            "nvlinkGroup": group_of.get(gpu.index),
            "rail": rail_of.get(gpu.index),
            "complex": complex_of.get(gpu.index),
            BUS_ID: gpu.pci_address,
        }
        judged = health.get(gpu.index, Health())
        yield _shadow("gpu", gpu.pci_address, own | _place(gpu), judged, in_the_way(judged))._replace(down=_down(gpu))


def _nics(
    node: NodeTopology, together: tuple[Complex, ...], numbers: Mapping[str, int], health: Mapping[str, Health]
) -> Iterator[Shadow]:
    complex_of = {nic.name: one.name for one in together for nic in one.nics}
    for nic in node.nics:
        if nic.pci_address is None or nic.name not in numbers:
            continue
        own = {"rail": numbers[nic.name], "complex": complex_of.get(nic.name), NIC_ADDRESS: nic.pci_address}
        judged = health.get(nic.name, Health())
        yield _shadow("nic", nic.pci_address, own | _place(nic), judged, _nic_ill(judged))


def _shadow(
    kind: Literal["gpu", "nic"],
    address: str,
    attributes: Mapping[str, str | int | None],
    judged: Health,
    ill: Reason | None,
) -> Shadow:
    """A shadow's name stays its device's after a reboot, which an index need not."""
    name = f"{kind}-{address.replace(':', '-').replace('.', '-')}"
    known = _known({"type": f"{kind}-shadow", **attributes})
    return Shadow(name, known, ill=ill, known=judged.level not in _NOT_KNOWN)


def _place(device: Gpu | Nic) -> dict[str, str | int | None]:
    """A NIC with a data direct function has that one's path, which is not the root of its own function."""
    direct = isinstance(device, Nic) and device.data_direct is not None
    return {
        f"{STANDARD}/pcieRoot": None if direct else device.path.partition("/")[0] or None,
        f"{STANDARD}/numaNode": device.numa_node,
    }


def _known(attributes: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """What is known, and is not too long to be written."""
    return {
        name: value
        for name, value in attributes.items()
        if value is not None and value != "" and not (isinstance(value, str) and len(value) > LONGEST_VALUE)
    }


def _down(gpu: Gpu) -> str:
    """Links of which it is known that they carry nothing."""
    lame = (bundle for bundle in gpu.nvlinks if bundle.state is not None and not bundle.usable)
    return cpulist.format_cpulist(number for bundle in lame for number in cpulist.parse_cpulist(bundle.links))


def _nic_ill(health: Health) -> Reason | None:
    """Only what makes the NIC itself of no use: a node is ready without one of its rails, a claim for it is not."""
    return worst(reason for reason in health.reasons if KINDS[reason.code].level == "fault")
