from msgspec.structs import replace

from nvtopo.aggregator.heard_neighbors import HeardNeighbors
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Applied, Inventory, Listed, TiersReported, fold
from nvtopo.fabrics import heard
from nvtopo.model.records.facts import Neighbor
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines


def hearing(rack: int, number: int, *, bridge: bool = True) -> NodeTopology:
    """A tray whose two ports are on the switches of its rack."""
    neighbors = tuple(
        Neighbor(
            netdev=f"eth{rail}",
            chassis=f"mac 02:00:00:0{rack}:00:0{rail}",
            port=f"swp{number}",
            port_kind="ifname",
            name=f"leaf-k{rack}-r{rail}",
            capabilities=("bridge",) if bridge else ("station",),
        )
        for rail in range(2)
    )
    return replace(machines.tray(number=number), neighbors=neighbors)


NODES = {f"n{rack}{at}": hearing(rack, 2 * rack + at) for rack in range(2) for at in range(2)}


def test_nodes_that_hear_the_same_switches_are_one_leaf_group() -> None:
    inventory = fold(Inventory(), Listed(NODES))
    told: list[dict[str, Reading]] = []
    graphs: list[ClusterGraph] = [build(inventory)]
    neighbors = HeardNeighbors(lambda: graphs[-1], lambda readings: told.append(dict(readings)))
    neighbors.look()
    neighbors.look()
    [readings] = told
    graph = build(fold(inventory, TiersReported("lldp", readings)), graphs[-1])
    leaves = {name: node.tiers.get("leaf") for name, node in graph.nodes.items()}
    assert leaves == {"n00": "leaf-k0-r0", "n01": "leaf-k0-r0", "n10": "leaf-k1-r0", "n11": "leaf-k1-r0"}
    assert [(port.rail, port.leaf) for port in graph.nodes["n11"].rails] == [(0, "leaf-k1-r0"), (1, "leaf-k1-r1")]
    graphs.append(graph)
    neighbors.look()
    assert len(told) == 1, "what the graph shows of it is no news"


def test_nothing_is_told_again_unless_a_node_hears_another() -> None:
    inventory = fold(Inventory(), Listed(NODES))
    told: list[dict[str, Reading]] = []
    graphs: list[ClusterGraph | None] = [None]
    neighbors = HeardNeighbors(lambda: graphs[-1], lambda readings: told.append(dict(readings)))
    neighbors.look()
    graphs.append(build(inventory))
    neighbors.look()
    inventory = fold(inventory, Applied("n00", replace(NODES["n00"], host=replace(NODES["n00"].host, kernel="7.0"))))
    graphs.append(build(inventory))
    neighbors.look()
    assert len(told) == 1
    for name, node in NODES.items():
        inventory = fold(inventory, Applied(name, replace(node, neighbors=())))
    graphs.append(build(inventory))
    neighbors.look()
    assert told[1:] == [{}]


def test_who_hears_hosts_alone_says_nothing() -> None:
    assert heard.reading({"n00": hearing(0, 0, bridge=False).neighbors, "n01": ()}) == {}


def test_a_host_that_is_heard_on_its_own_port_is_not_its_switch() -> None:
    own = Neighbor(netdev="eth0", chassis="mac 02:00:00:00:00:99", port="eth0", port_kind="ifname", name="n00.example")
    [reading] = heard.reading({"n00": (*hearing(0, 0).neighbors, own)}).values()
    assert {port.leaf for port in reading.ports} == {"leaf-k0-r0", "leaf-k0-r1"}
    assert reading.findings == ()
