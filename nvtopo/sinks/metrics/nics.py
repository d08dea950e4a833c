"""NICs on the metrics page: where they are, what for, which are near to which GPU, on which rail; their MTU."""

from collections.abc import Iterator

from nvtopo.model.derive import Derived
from nvtopo.model.node import Nic, NodeTopology
from nvtopo.sinks.metrics.series import Family, declared, facts, gauge, info

NEAREST = gauge(
    "nvtopo_gpu_nearest_nic",
    "1 for each NIC nearest to a GPU, with how near by nvidia-smi's rules.",
    ("gpu", "device", "level"),
    source="the PCI paths of both",
    absent="a path is not known",
)
MTU = gauge(
    "nvtopo_netdev_mtu_bytes",
    "A network device's MTU.",
    ("device",),
    source="/sys/class/net/<device>/mtu",
    absent="the NIC has no network device",
)
NIC_INFO = info(
    "nvtopo_nic_info",
    "A NIC and its place: its RDMA device, or where it has none its network device.",
    ("device", "pci_bus_id", "numa_node", "netdev", "link_layer", "role"),
    source="the PCI function's numa_node, its net/ and infiniband/",
    absent="there is no NIC",
)
RAIL_INFO = info(
    "nvtopo_rail_info",
    "Which rail a compute NIC is on.",
    ("rail", "device"),
    source="the natural order of the compute NICs' names",
    absent="no NIC is for compute, or the node has no GPU",
)
SERIES = declared(globals())


def families(node: NodeTopology, derived: Derived) -> Iterator[Family]:
    """The NICs of one node."""
    nearest, mtu = Family(NEAREST), Family(MTU)
    for key, found in derived.nearest_nics.items():
        for name in found.nics:
            nearest.add(1, key[3:], name, found.level or "")
    for nic in node.nics:
        for netdev in nic.netdevs:
            mtu.add(nic.mtu_bytes, netdev)
    yield nearest
    yield mtu
    yield facts(NIC_INFO, (_place(nic, derived) for nic in node.nics))
    yield facts(RAIL_INFO, ((str(rail), name) for name, rail in derived.rails.items()))


def _place(nic: Nic, derived: Derived) -> tuple[str, ...]:
    return (
        nic.name,
        nic.pci_address or "",
        "" if nic.numa_node is None else str(nic.numa_node),
        nic.netdevs[0] if nic.netdevs else "",
        nic.ports[0].link_layer if nic.ports else "",
        derived.nic_roles.get(nic.name, ""),
    )
