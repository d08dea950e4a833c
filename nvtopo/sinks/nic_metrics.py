"""NICs on the metrics page: which are near to which GPU, their MTU, whether their ports are up."""

from collections.abc import Iterator

from nvtopo.model.derive import Derived
from nvtopo.model.node import NodeTopology
from nvtopo.sinks.series import Family, declared, gauge

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
PORT_ACTIVE = gauge(
    "nvtopo_rdma_port_active",
    "1 where the port's state is ACTIVE.",
    ("device", "port"),
    source="/sys/class/infiniband/<device>/ports/<port>/state",
    absent="the machine has no RDMA device",
)
SERIES = declared(globals())


def families(node: NodeTopology, derived: Derived) -> Iterator[Family]:
    """The NICs of one node."""
    nearest, mtu, active = Family(NEAREST), Family(MTU), Family(PORT_ACTIVE)
    for key, found in derived.nearest_nics.items():
        for name in found.nics:
            nearest.add(1, key[3:], name, found.level or "")
    for nic in node.nics:
        for netdev in nic.netdevs:
            mtu.add(nic.mtu_bytes, netdev)
        for port in nic.ports:
            active.add(int(port.state == "ACTIVE"), nic.name, str(port.number))
    yield nearest
    yield mtu
    yield active
