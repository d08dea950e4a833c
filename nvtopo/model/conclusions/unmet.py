"""What a machine has less of, or otherwise, than is expected of it. GPUs are in ``presence``, NVLinks in ``nvlink``.

What is not known is not unmet: only a value that was read can differ.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from nvtopo.model.conclusions import ports, unread
from nvtopo.model.conclusions.health_kinds import Reason
from nvtopo.model.conclusions.pcie import Functions, lacking, link_at
from nvtopo.model.records.expected import Expected, PcieExpectation
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import Gpu, Nic, NicPort, NodeTopology

_ETHERNET = "Ethernet"


def of_node(node: NodeTopology, roles: Mapping[str, str]) -> Iterator[Reason]:
    """What the node as a whole lacks: NICs, rails, and versions that are others."""
    expected = node.expected
    if expected is None:
        return
    if not unread.touched(node) & unread.OF_DEVICES and "nics" not in node.unseen:
        rails = len(ports.rail_nics(node.nics, roles))
        if expected.nics is not None and len(node.nics) < expected.nics:
            yield Reason("nics-missing", values=(len(node.nics), expected.nics))
        if expected.rails is not None and roles and rails < expected.rails:
            yield Reason("rails-missing", values=(rails, expected.rails))
    yield from _versions(node, expected)


def of_gpu(node: NodeTopology, gpu: Gpu) -> Iterator[Reason]:
    """What one GPU lacks."""
    due = None if node.expected is None or node.expected.versions is None else node.expected.versions.vbios
    if due is not None and gpu.vbios and gpu.vbios != due:
        yield Reason("version-differs", gpu=gpu.index, values=("VBIOS", gpu.vbios, due))
    pcie = None if node.expected is None else node.expected.pcie
    if pcie is not None and gpu.link is not None and (values := _pcie(gpu.link, gpu.link.max_generation, pcie)):
        yield Reason("pcie-below-expected", gpu=gpu.index, values=values)


def of_rail(node: NodeTopology, nic: Nic) -> Iterator[Reason]:
    """What one NIC of the compute network lacks."""
    expected = node.expected
    if expected is None or nic.hidden_by:
        return
    due, found = expected.mtu_bytes, nic.mtu_bytes
    if due is not None and found is not None and found != due:
        yield Reason("mtu-differs", nic=nic.name, values=(found, due))
    for firmware in expected.versions.nic_firmware if expected.versions is not None else ():
        if firmware.model == nic.model and nic.firmware and nic.firmware != firmware.version:
            yield Reason("version-differs", nic=nic.name, values=("firmware", nic.firmware, firmware.version))
    yield from _of_ports(node, nic, expected)
    if expected.pcie is not None and nic.link is not None:
        values = _pcie(nic.link, nic.link.generation, expected.pcie)
        if values:
            yield Reason("pcie-below-expected", nic=nic.name, values=values)


def with_links(node: NodeTopology, functions: Functions) -> NodeTopology:
    """The node, with the PCIe link of each NIC that has less than is expected: at its best, a NIC's is not said."""
    pcie = None if node.expected is None else node.expected.pcie
    if pcie is None:
        return node
    return replace(node, nics=tuple(_with_link(nic, functions, pcie) for nic in node.nics))


def _with_link(nic: Nic, functions: Functions, pcie: PcieExpectation) -> Nic:
    link = link_at(nic.pci_address, functions) if nic.pci_address and nic.link is None else None
    return replace(nic, link=link) if link is not None and _pcie(link, link.generation, pcie) else nic


def _of_ports(node: NodeTopology, nic: Nic, expected: Expected) -> Iterator[Reason]:
    up = [port for port in nic.ports if ports.is_up(port)]
    due = expected.rdma_mtu_bytes
    mtu = next((port.active_mtu_bytes for port in up if port.active_mtu_bytes not in (None, due)), None)
    if due is not None and mtu is not None:
        yield Reason("rdma-mtu-differs", nic=nic.name, values=(mtu, due))
    if expected.gid_index is None or any(nic.name in problem.subject for problem in node.problems):
        return
    other = _other_gids(up, expected.gid_index)
    if other:
        index = other[0].gid_index
        yield Reason("gid-index-differs", nic=nic.name, values=("none" if index is None else index, expected.gid_index))


def _other_gids(up: Sequence[NicPort], due: int) -> list[NicPort]:
    return [port for port in up if port.link_layer == _ETHERNET and port.gid_index != due]


def _versions(node: NodeTopology, expected: Expected) -> Iterator[Reason]:
    due = expected.versions
    if due is None:
        return
    host = node.host
    for name, found, wanted in (
        ("driver", host.driver_version, due.driver),
        ("CUDA", host.cuda_version, due.cuda),
        ("kernel", host.kernel, due.kernel),
    ):
        if wanted is not None and found and found != wanted:
            yield Reason("version-differs", values=(name, found, wanted))


def _pcie(link: PcieLink, generation: int | None, due: PcieExpectation) -> tuple[str, ...]:
    return lacking(link.width, generation, due.width, due.generation)
