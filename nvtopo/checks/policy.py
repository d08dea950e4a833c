"""A policy is the operator's expectations: what a node of each shape should have. Applied here, and learned."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from nvtopo.checks.check import NODE, Machine, NotKnown
from nvtopo.findings.expectation import Expectations, Shape, ShapeExpectation
from nvtopo.model.conclusions import presence, unmet
from nvtopo.model.conclusions.expected import merged
from nvtopo.model.conclusions.health_kinds import Code
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.conclusions.links import usable_links
from nvtopo.model.conclusions.pcie import link_at
from nvtopo.model.conclusions.ports import is_up
from nvtopo.model.records.expected import (
    Expectation,
    Expected,
    FirmwareExpectation,
    PcieExpectation,
    VersionExpectation,
)
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Nic, NodeTopology
from nvtopo.model.records.snapshot import Snapshot

T = TypeVar("T")

#: What says that a policy has nothing to say of a node: then nobody accepted it.
NO_SHAPE: Final = NotKnown(
    id="policy-has-no-shape",
    domain="host",
    subject=NODE,
    reason="the policy has no shape that this node is of",
    remedy="Add a shape for it: `nvtopo doctor --write-policy` on a good node writes one.",
    decisive=True,
)


def due(node: NodeTopology, snapshot: Snapshot | None, policy: Expectations) -> NodeTopology | None:
    """The node with what the policy expects of it; None if no shape is its own."""
    stated = policy.of(node)
    if stated is None:
        return None
    return unmet.with_links(replace(node, expected=merged((stated, node.expected), ())), functions_of(snapshot))


def unread(machine: Machine) -> tuple[NotKnown, ...]:
    """What the policy states and this node does not show: it is neither met nor missed."""
    return tuple(
        NotKnown(
            id="policy-not-read",
            domain="host",
            subject=one.subject,
            reason=f"the policy states its {one.what}, which can't be read here",
            remedy="Run doctor on the node itself, as root, with /dev/infiniband.",
        )
        for one in hidden(machine)
    )


class Hidden(NamedTuple):
    """One value that is expected and not shown."""

    code: Code
    """The reason that it would be if it differed."""
    subject: str
    what: str


def hidden(machine: Machine) -> tuple[Hidden, ...]:
    """The values that are expected of this machine, and that it does not show."""
    due = machine.node.expected
    return () if due is None else tuple(_hidden(machine, due))


def _hidden(machine: Machine, due: Expected) -> Iterator[Hidden]:
    ports = {f"{nic.name}/{port.number}": port for nic in machine.known_rails for port in nic.ports if is_up(port)}
    if due.mtu_bytes is not None:
        yield from (Hidden("mtu-differs", nic.name, "MTU") for nic in machine.known_rails if nic.mtu_bytes is None)
    if due.rdma_mtu_bytes is not None:
        for name, port in ports.items():
            if port.active_mtu_bytes is None:
                yield Hidden("rdma-mtu-differs", name, "RDMA MTU")
    if due.pcie is not None:
        links = [gpu.key for gpu in machine.node.gpus if _hides(due.pcie, gpu.link)]
        links += [nic.name for nic in machine.known_rails if _hides_its_link(machine, nic, due.pcie)]
        yield from (Hidden("pcie-below-expected", name, "PCIe link") for name in links)
    if due.versions is not None:
        yield from (Hidden("version-differs", *one) for one in _versions_unread(machine, due.versions))


def _hides(due: PcieExpectation, link: PcieLink | None) -> bool:
    """Whether a link does not show what is expected of it."""
    return link is None or (due.width is not None and link.width is None)


def _hides_its_link(machine: Machine, nic: Nic, due: PcieExpectation) -> bool:
    """The same of a NIC's; a node without its functions says only of a link that lacks something."""
    if not machine.functions or nic.pci_address is None:
        return False
    link = link_at(nic.pci_address, machine.functions)
    return _hides(due, link) or (link is not None and due.generation is not None and link.generation is None)


def _versions_unread(machine: Machine, due: VersionExpectation) -> Iterator[tuple[str, str]]:
    host = machine.node.host
    for wanted, found, what in (
        (due.driver, host.driver_version, "driver version"),
        (due.cuda, host.cuda_version, "CUDA version"),
        (due.kernel, host.kernel, "kernel"),
    ):
        if wanted is not None and not found:
            yield NODE, what
    if due.vbios is not None:
        yield from ((gpu.key, "VBIOS") for gpu in machine.node.gpus if not gpu.vbios)
    models = {one.model for one in due.nic_firmware}
    yield from ((nic.name, "firmware") for nic in machine.known_rails if nic.model in models and not nic.firmware)


def learned(machine: Machine, name: str) -> Expectations:
    """What this node has, as a policy for its shape. A value that its rails or GPUs do not share is left out."""
    node = machine.node
    ports = [port for nic in machine.known_rails for port in nic.ports if is_up(port)]
    products = {gpu.name for gpu in node.gpus}
    host = node.host
    versions = VersionExpectation(
        driver=host.driver_version,
        cuda=host.cuda_version,
        kernel=host.kernel or None,
        vbios=_shared(gpu.vbios for gpu in node.gpus),
        nic_firmware=_firmware(machine.known_rails),
    )
    links = [usable_links(gpu) for gpu in node.gpus if gpu.nvlinks and not gpu.mig]
    expect = Expectation(
        gpus=presence.accounted(node) or None,
        nics=len(node.nics) or None,
        rails=len(machine.derived.rails) or None,
        nvlinks_per_gpu=_shared(links) or None,
        mtu_bytes=_shared(nic.mtu_bytes for nic in machine.known_rails),
        rdma_mtu_bytes=_shared(port.active_mtu_bytes for port in ports),
        gid_index=_shared(port.gid_index for port in ports if port.link_layer == "Ethernet"),
        pcie=_pcie(machine),
        versions=None if versions == VersionExpectation() else versions,
    )
    match = Shape(gpu=products.pop() if len(products) == 1 else None, product=host.product or None)
    return Expectations(shapes={name: ShapeExpectation(match=match, expect=expect)})


def _firmware(rails: Iterable[Nic]) -> tuple[FirmwareExpectation, ...]:
    """Of models whose NICs all have the same."""
    models: dict[str, list[str | None]] = {}
    for nic in rails:
        if nic.model is not None:
            models.setdefault(nic.model, []).append(nic.firmware or None)
    shared = {model: _shared(found) for model, found in sorted(models.items())}
    return tuple(
        FirmwareExpectation(model=model, version=version) for model, version in shared.items() if version is not None
    )


def _shared(values: Iterable[T | None]) -> T | None:
    """The value that all have."""
    found = list(values)
    return found[0] if found and all(value == found[0] for value in found) else None


def _pcie(machine: Machine) -> PcieExpectation | None:
    """The narrowest and oldest link that a GPU or a rail has: all of them meet it."""
    links: list[PcieLink] = [gpu.link for gpu in machine.node.gpus if gpu.link is not None]
    widths = [link.width for link in links if link.width]
    generations = [link.max_generation for link in links if link.max_generation]
    for nic in machine.known_rails:
        link = link_at(nic.pci_address, machine.functions) if nic.pci_address else None
        if link is not None:
            widths += [link.width] if link.width else []
            generations += [link.generation] if link.generation else []
    found = PcieExpectation(width=min(widths, default=None), generation=min(generations, default=None))
    return None if found == PcieExpectation() else found
