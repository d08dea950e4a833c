"""Canary nodes against the rest."""

from typing import Any

from msgspec.structs import replace

from nvtopo.cluster.canaries import Comparison, compare
from nvtopo.cluster.nodes import GraphNode, readable
from nvtopo.model.records.node import Host, NodeTopology
from tests.cluster import fleets


def compared(canary: list[NodeTopology], rest: list[NodeTopology]) -> Comparison:
    nodes: dict[str, GraphNode] = {f"c{number}": readable(f"c{number}", node) for number, node in enumerate(canary)}
    nodes |= {f"r{number}": readable(f"r{number}", node) for number, node in enumerate(rest)}
    ours = [name for name in nodes if name.startswith("c")]
    return compare(nodes, ours, nodes.keys() - set(ours))


def fleet(count: int, **changes: Any) -> list[NodeTopology]:
    return [fleets.machine(number=number, **changes) for number in range(count)]


def test_another_version_is_shown_and_is_no_loss() -> None:
    found = compared(fleet(2, driver="590.1"), fleet(4))
    (one,) = found.differences
    assert (one.path, one.before, one.after, one.nodes) == ("driverVersion", fleets.DRIVER, "590.1", ("c0", "c1"))
    assert (one.canaries, one.others, one.others_alike, found.lost) == (2, 4, 0, False)


def test_less_on_canary_nodes_is_a_loss_and_comes_first() -> None:
    slow = (fleets.nic(0, mtu_bytes=1500), fleets.nic(1, mtu_bytes=1500))
    canary = [replace(node, nics=slow) for node in fleet(2, driver="590.1")]
    found = compared(canary, fleet(4))
    assert found.lost
    first = found.differences[0]
    assert (first.path, first.subjects, first.before, first.after) == ("mtuBytes", ("mlx5_0", "mlx5_1"), 9000, 1500)


def test_what_is_as_frequent_among_the_others_is_no_loss_of_the_canary_nodes() -> None:
    found = compared(fleet(1) + fleet(1, nics=1), fleet(3) + fleet(2, nics=1))
    assert [(one.path, one.loss) for one in found.differences if one.path == "nics"] == [("nics", True)]
    found = compared(fleet(3) + fleet(1, nics=1), fleet(3) + fleet(2, nics=1))
    assert [(one.path, one.loss) for one in found.differences if one.path == "nics"] == [("nics", False)]


def test_a_tie_among_the_others_says_so() -> None:
    found = compared(fleet(1, driver="3"), fleet(1, driver="1") + fleet(1, driver="2"))
    assert [one.before for one in found.differences] == [["1", "2"]]
    assert compared(fleet(1, driver="1"), fleet(1, driver="1") + fleet(1, driver="2")).differences == ()


def test_a_canary_node_of_a_shape_of_its_own_is_said() -> None:
    found = compared([NodeTopology()], fleet(3))
    assert found.not_compared == {"c0": "nothing is known of it"}
    other = replace(fleets.machine(), host=Host(product="Other"))
    assert compared([other], fleet(3)).not_compared == {"c0": "no other node is of its shape"}
