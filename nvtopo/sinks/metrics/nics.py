"""NICs on the metrics page: where they are, what for, which are near to which GPU, on which rail; their MTU."""

from collections.abc import Iterator

from nvtopo.model.conclusions import ports
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.records.node import Nic, NodeTopology
from nvtopo.sinks.metrics.rdma_counters import PORT
from nvtopo.sinks.metrics.series import Family, declared, facts, gauge, info

NEAREST = gauge(
    "nvtopo_gpu_nearest_nic",
    "1 for each NIC nearest to the GPU. Label level is the distance in nvidia-smi's terms (PIX, PXB, PHB, NODE, SYS).",
    ("gpu", "device", "level"),
    source="the PCI paths of both",
    absent="the PCI path of the GPU or of the NICs is not known",
)
MTU = gauge(
    "nvtopo_netdev_mtu_bytes",
    "MTU of the NIC's network device, in bytes.",
    ("device",),
    source="/sys/class/net/<device>/mtu",
    absent="the NIC has no network device",
)
NIC_INFO = info(
    "nvtopo_nic_info",
    "PCI address, NUMA node, network device, link layer and role of the NIC, as labels; the value is always 1.",
    ("device", "pci_bus_id", "numa_node", "netdev", "link_layer", "role"),
    source="the PCI function's numa_node, its net/ and infiniband/",
    absent="the node has no NIC",
)
RAIL_INFO = info(
    "nvtopo_rail_info",
    "The rail that a compute NIC is on, as a label; the value is always 1.",
    ("rail", "device"),
    source="the natural order of the compute NICs' names",
    absent="no NIC is for compute, or the node has no GPU",
)
PORT_UNUSED = gauge(
    "nvtopo_rail_port_unused",
    "1 if the port of a rail is unused by design: it is down on every rail NIC of its model, and another port is up.",
    PORT,
    source="the states of the ports at the last reading of the machine",
    absent="the NIC is not a rail",
)
SERIES = declared(globals())


def families(node: NodeTopology, derived: Derived) -> Iterator[Family]:
    """The NICs of one node."""
    nearest, mtu = Family(NEAREST), Family(MTU)
    for index, found in derived.nearest_nics.items():
        level = "" if found.level is None else found.level.name
        for name in found.nics:
            nearest.add(1, str(index), name, level)
    for nic in node.nics:
        for netdev in nic.netdevs:
            mtu.add(nic.mtu_bytes, netdev)
    yield nearest
    yield mtu
    yield facts(NIC_INFO, (_place(nic, derived) for nic in node.nics))
    yield facts(RAIL_INFO, ((str(rail), name) for name, rail in derived.rails.items()))
    yield _unused(node, derived)


def _unused(node: NodeTopology, derived: Derived) -> Family:
    family = Family(PORT_UNUSED)
    rails = [nic for nic in node.nics if nic.name in derived.rails]
    idle = ports.unused(rails)
    for nic in rails:
        for port in nic.ports:
            family.add(int(port.number in idle.get(nic.name, ())), nic.name, str(port.number))
    return family


def _place(nic: Nic, derived: Derived) -> tuple[str, ...]:
    return (
        nic.name,
        nic.pci_address or "",
        "" if nic.numa_node is None else str(nic.numa_node),
        nic.netdevs[0] if nic.netdevs else "",
        nic.ports[0].link_layer if nic.ports else "",
        derived.nic_roles.get(nic.name, ""),
    )
