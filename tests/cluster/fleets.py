"""Fleets of like machines for tests of drift: boards of one product, with a driver, NICs with ports, and racks."""

from typing import Any

from msgspec.structs import replace

from nvtopo.cluster.nodes import GraphNode, readable
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.node import Host, Nic, NicPort, NodeTopology
from tests.cluster import machines

PRODUCT = "Acme 9000"
DRIVER = "580.65.06"


def nic(number: int = 0, **changes: Any) -> Nic:
    port = NicPort(number=1, state="ACTIVE", link_layer="Ethernet", rate_bytes_per_second=50_000_000_000, gid_index=3)
    made = Nic(
        name=f"mlx5_{number}", pci_address=PciAddress(f"0000:{number + 1:02x}:00.0"), mtu_bytes=9000, ports=(port,)
    )
    return replace(made, **changes)


def machine(rack: int = 1, number: int = 0, *, driver: str = DRIVER, nics: int = 2, **changes: Any) -> NodeTopology:
    node = machines.tray(rack, number)
    host = Host(product=PRODUCT, driver_version=driver, kernel="6.8.0")
    return replace(node, host=host, nics=tuple(map(nic, range(nics))), **changes)


def node(name: str = "n", **changes: Any) -> GraphNode:
    return readable(name, machine(**changes))
