"""What machines of one shape should have in common: counts, links, rates, MTUs, GIDs and versions, fact by fact.

A fact has the place that a typed change has, so that two machines, or a machine and what is expected of it, are
compared as two readings of one node are. What is not known is not in it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.nodes import GraphNode
from nvtopo.model.changes.change import Change
from nvtopo.model.changes.loss import FULL
from nvtopo.model.conclusions import nvlink, presence, rails, unread
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.links import unknown_links, usable_links
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Gpu, Nic, NodeTopology

NODE: Final = "node"
HOST: Final = "host"
GPUS: Final = "gpus"
NICS: Final = "nics"

#: Names by which sources without records of their own state a version of firmware, in lower case.
_FIRMWARE: Final = frozenset(("firmware", "fw_ver", "fw", "vbios", "vbios_version", "psid"))


class Fact(NamedTuple):
    """One fact of a node, as a change names it."""

    kind: str
    subject: str
    path: str


Value = int | str
Traits = Mapping[Fact, Value]


class Shape(NamedTuple):
    """Machines that are compared with each other."""

    product: str
    """The system's, from its firmware; empty where it does not say."""
    gpus: tuple[str, ...]
    """Product names of its GPUs."""


def shape_of(node: GraphNode) -> Shape | None:
    """The shape of a node; None if it is not known."""
    topology = node.topology
    if topology is None or topology.unseen:
        return None
    names = tuple(sorted({gpu.name for gpu in topology.gpus}))
    return Shape(topology.host.product, names) if names or topology.host.product else None


def traits_of(node: GraphNode) -> dict[Fact, Value]:
    """Everything of a node that is compared, by fact; nothing of a node that can't be read."""
    topology = node.topology
    if topology is None:
        return {}
    found = (*_of_host(topology), *_counts(node, topology), *_of_gpus(topology), *_of_nics(topology))
    return {fact: value for fact, value in (*found, *_firmware(topology)) if value not in (None, "")}


def changes(expected: Traits, traits: Traits) -> tuple[Change, ...]:
    """What differs, in order. A fact that either side does not know differs in nothing."""
    return tuple(
        Change(kind=fact.kind, subject=fact.subject, path=fact.path, before=expected[fact], after=traits[fact])
        for fact in sorted(expected.keys() & traits.keys())
        if expected[fact] != traits[fact]
    )


def wanted(expectation: Expectation | None, node: GraphNode, traits: Traits) -> dict[Fact, Value]:
    """What an expectation says of each fact of this node: of NICs, of those of the compute network alone."""
    if expectation is None or node.topology is None:
        return {}
    said = _said(expectation)
    rails = _rails(node.topology) if any(kind == NICS for kind, _ in said) else frozenset()
    return {
        fact: value
        for fact in traits
        if (value := said.get((fact.kind, _without_port(fact.path)))) is not None
        and (fact.kind != NICS or fact.subject in rails)
    }


def _rails(topology: NodeTopology) -> frozenset[str]:
    roles = rails.roles(topology, Distances(topology))
    return frozenset({NODE, *(name for name, role in roles.items() if role == "compute")})


def _without_port(path: str) -> str:
    """``ports.activeMtuBytes`` for each port's."""
    first, _, rest = path.partition(".")
    return f"{first}.{rest.partition('.')[2]}" if first == "ports" else path


def _said(expectation: Expectation) -> dict[tuple[str, str], Value]:
    """By kind and path."""
    pcie, versions = expectation.pcie, expectation.versions
    said: dict[tuple[str, str], Value | None] = {
        (GPUS, GPUS): expectation.gpus,
        (NICS, NICS): expectation.nics,
        (NICS, "rails"): expectation.rails,
        (GPUS, "nvlinks"): expectation.nvlinks_per_gpu,
        (NICS, "mtuBytes"): expectation.mtu_bytes,
        (NICS, "ports.activeMtuBytes"): expectation.rdma_mtu_bytes,
        (NICS, "ports.gidIndex"): expectation.gid_index,
        (GPUS, "link.width"): None if pcie is None else pcie.width,
        (GPUS, "link.maxGeneration"): None if pcie is None else pcie.generation,
        (HOST, "driverVersion"): None if versions is None else versions.driver,
        (HOST, "cudaVersion"): None if versions is None else versions.cuda,
        (HOST, "kernel"): None if versions is None else versions.kernel,
    }
    return {place: value for place, value in said.items() if value is not None}


Found = Iterator[tuple[Fact, Value | None]]


def _of_host(topology: NodeTopology) -> Found:
    host = topology.host
    yield Fact(HOST, HOST, "driverVersion"), host.driver_version
    yield Fact(HOST, HOST, "cudaVersion"), host.cuda_version
    yield Fact(HOST, HOST, "kernel"), host.kernel


def _counts(node: GraphNode, topology: NodeTopology) -> Found:
    """Of whole boards: a chassis of cards has as many as were bought, a guest what it was given."""
    read = not unread.touched(topology)
    if topology.host.hypervisor or not read:
        return
    if not topology.gpus or not nvlink.are_cards(topology):
        yield Fact(GPUS, NODE, GPUS), presence.accounted(topology)
    if "nics" not in topology.unseen and topology.nics:
        yield Fact(NICS, NODE, NICS), len(topology.nics)
        yield Fact(NICS, NODE, "rails"), node.rail_nics


def _of_gpus(topology: NodeTopology) -> Found:
    for gpu in topology.gpus:
        yield Fact(GPUS, gpu.key, "nvlinks"), _links(gpu)
        yield Fact(GPUS, gpu.key, "nvlinks.bytesPerSecond"), _rate(gpu)
        yield Fact(GPUS, gpu.key, "memoryBytes"), gpu.memory_bytes
        yield Fact(GPUS, gpu.key, "vbios"), gpu.vbios
        if gpu.link is not None:
            yield Fact(GPUS, gpu.key, "link.width"), gpu.link.width
            yield Fact(GPUS, gpu.key, "link.maxGeneration"), gpu.link.max_generation


def _links(gpu: Gpu) -> int | None:
    """Usable links; None while that is not known, or may change by itself."""
    unknown = gpu.mig or gpu.nvlink_training or gpu.nvlinks_unknown or unknown_links(gpu) or not gpu.nvlinks
    return None if unknown else usable_links(gpu)


def _rate(gpu: Gpu) -> int | None:
    """Of its slowest usable link."""
    rates = [bundle.bytes_per_second for bundle in gpu.nvlinks if bundle.usable and bundle.bytes_per_second]
    return min(rates, default=None)


def _of_nics(topology: NodeTopology) -> Found:
    if unread.touched(topology) & unread.OF_DEVICES:
        return
    for nic in topology.nics:
        if not nic.hidden_by and nic.ports:
            yield from _of_nic(nic)


def _of_nic(nic: Nic) -> Found:
    yield Fact(NICS, nic.name, "mtuBytes"), nic.mtu_bytes
    yield Fact(NICS, nic.name, "firmware"), nic.firmware
    yield Fact(NICS, nic.name, "psid"), nic.psid
    yield Fact(NICS, nic.name, "link"), FULL if nic.link is None else _short(nic.link)
    for port in nic.ports:
        up = port.state == "ACTIVE"
        yield Fact(NICS, nic.name, f"ports.{port.number}.state"), port.state
        if up:
            yield Fact(NICS, nic.name, f"ports.{port.number}.rateBytesPerSecond"), port.rate_bytes_per_second
            yield Fact(NICS, nic.name, f"ports.{port.number}.activeMtuBytes"), port.active_mtu_bytes
            yield Fact(NICS, nic.name, f"ports.{port.number}.gidIndex"), port.gid_index


def _short(link: PcieLink) -> str | None:
    """The link of a NIC that has less than both ends support; None where that is not known."""
    if link.width is None or link.generation is None:
        return None
    best = f" of x{link.max_width} generation {link.max_generation}" if link.max_width and link.max_generation else ""
    return f"x{link.width} generation {link.generation}{best}"


def _firmware(topology: NodeTopology) -> Iterable[tuple[Fact, Value]]:
    for source, attributes in topology.attributes.items():
        for name, value in attributes.items():
            if name.lower() in _FIRMWARE and isinstance(value, str):
                yield Fact("attributes", source, name), value
