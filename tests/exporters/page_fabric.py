"""A cluster with a fabric for the tests of the page: racks of trays, and cables that are missing or swapped."""

from typing import NamedTuple

from nvtopo.cluster.claims import Reading
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines
from tests.fabrics.ibfabric import Ends, Shape, Wired, host, text, wired
from tests.fabrics.reading import read


class Cluster(NamedTuple):
    """Nodes, and what the network's source says of them."""

    nodes: dict[str, NodeTopology]
    reading: Reading


def cluster(fabric: Wired, racks: int, hosts: int) -> Cluster:
    """The nodes of a fabric that ``wired`` made, each rack an NVLink domain."""
    nodes = {host(rack, at): machines.tray(rack + 1, at) for rack in range(racks) for at in range(hosts)}
    return Cluster(nodes, read(text(fabric)))


def faulty() -> Cluster:
    """Three racks: a node without a cable, one with two swapped, and a leaf without one to a spine."""
    fabric = wired(Shape(racks=3, hosts=6, spines=2))
    one, other = (cable(fabric, host(1, 2), f"sw-k1-r{rail}") for rail in range(2))
    gone = (cable(fabric, host(0, 3), "sw-k0-r2"), cable(fabric, "sw-k2-r3", "sp0-1"))
    swapped = fabric.without(one, other, *gone).with_cables((one[0], other[1]), (other[0], one[1]))
    return cluster(swapped, 3, 6)


def cable(fabric: Wired, one: str, other: str) -> Ends:
    """The cable between two of these names."""
    return next(ends for ends in fabric.cables if set(fabric.names(ends)) == {one, other})
