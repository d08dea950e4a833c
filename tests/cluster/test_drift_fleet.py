"""What drifts in a fleet: single nodes, whole racks, ties, what was accepted, and who works on a node."""

import dataclasses
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.accepted import Acceptance
from nvtopo.cluster.drift_fleet import FleetDrift, NodeSight, at_once, sight_of
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Drifted, Inventory, Listed, fold
from nvtopo.cluster.nodes import GraphNode, readable
from nvtopo.exporters import document
from nvtopo.model.records.expected import Expectation, VersionExpectation
from nvtopo.model.records.node import NodeTopology
from tests.cluster import fleets, machines

_NEW = VersionExpectation(driver="590.1")


def racks(count: int, trays: int = 4) -> dict[str, NodeTopology]:
    return {
        machines.name(rack, tray): fleets.machine(rack, tray) for rack in range(1, count + 1) for tray in range(trays)
    }


def upgraded(nodes: dict[str, NodeTopology], which: Callable[[str], bool]) -> dict[str, NodeTopology]:
    def changed(node: NodeTopology) -> NodeTopology:
        return replace(node, host=replace(node.host, driver_version="590.1"))

    return {name: changed(node) if which(name) else node for name, node in nodes.items()}


def found(nodes: dict[str, NodeTopology]) -> list[NodeFinding]:
    return sorted(at_once(machines.graph(nodes)))


def test_machines_that_are_alike_drift_in_nothing() -> None:
    assert found(racks(3)) == []


def test_one_node_that_differs_is_named_with_the_difference() -> None:
    nodes = racks(2)
    nodes["r001-t02"] = machines.changed(fleets.machine(1, 2, nics=1), 3, nvlinks=(machines.bundle("0-16"),))
    (one,) = found(nodes)
    assert (one.nodes, one.kind, one.finding.severity) == (("r001-t02",), "drift", "warning")
    assert "GPU3: NVLinks 18 → 17" in one.reason
    assert "node: NICs 2 → 1" in one.reason
    assert "NVLinks 18" in one.finding.expected


def test_a_rack_that_differs_from_most_is_named_once_and_its_nodes_are_not() -> None:
    (one,) = [
        finding
        for finding in found(upgraded(racks(5), lambda name: name.startswith("r002")))
        if finding.finding.subject.startswith("rack")
    ]
    assert one.nodes == tuple(machines.name(2, tray) for tray in range(4))
    assert "differs from most of its peers: host: driver version 580.65.06 → 590.1" in one.reason
    assert one.finding.severity == "info"
    subjects = {finding.finding.subject.split()[0] for finding in found(upgraded(racks(5), lambda n: n[:4] == "r002"))}
    assert subjects == {"rack"}, "the nodes themselves are said by their rack"


def test_a_tie_names_every_rack_and_says_so() -> None:
    said = [
        one for one in found(upgraded(racks(2), lambda name: name.startswith("r002"))) if "rack" in one.finding.subject
    ]
    assert len(said) == 2
    assert all("none are in the majority" in one.reason and "580.65.06 or 590.1" in one.reason for one in said)


def accepting(node: GraphNode, expect: Expectation | None) -> GraphNode:
    at = "2026-11-28T12:00:00Z"
    return node if expect is None else dataclasses.replace(node, accepted=Acceptance(expect=expect, at=at))


def seen(nodes: dict[str, NodeTopology], accepted: dict[str, Expectation], planned: tuple[str, ...] = ()) -> list[str]:
    fleet, graph = FleetDrift(), machines.graph(nodes)
    sights = {
        name: sight_of(accepting(node, accepted.get(name)), planned=name in planned)
        for name, node in graph.nodes.items()
    }
    fleet.see(sights, 0)
    fleet.tick(0)
    return sorted(one.finding.subject for one in fleet.findings({}))


def test_what_was_accepted_is_no_drift_and_its_absence_is() -> None:
    nodes = upgraded(racks(2), lambda name: name == "r001-t00")
    assert seen(nodes, {}) == ["r001-t00"]
    assert seen(nodes, {"r001-t00": Expectation(versions=_NEW)}) == []
    assert seen(racks(2), {"r001-t00": Expectation(versions=_NEW)}) == ["r001-t00"]


def test_a_rack_of_which_all_was_accepted_does_not_differ() -> None:
    nodes = upgraded(racks(5), lambda name: name.startswith("r002"))
    assert seen(nodes, {machines.name(2, tray): Expectation(versions=_NEW) for tray in range(4)}) == []


def test_a_node_in_maintenance_drifts_in_nothing_and_counts_for_nothing() -> None:
    nodes = upgraded(racks(2), lambda name: name == "r001-t00")
    assert seen(nodes, {}, planned=("r001-t00",)) == []


def test_what_drifts_is_in_the_graph_and_at_its_node() -> None:
    nodes = upgraded(racks(2), lambda name: name == "r001-t00")
    graph = machines.graph(nodes)
    inventory = graph.standing.inventory
    assert inventory is not None
    after = build(fold(inventory, Drifted(at_once(graph))), graph)
    assert after.delta.nodes == {"r001-t00"}
    (drift,) = document.of(after).drift
    assert (drift.kind, drift.nodes, drift.subject) == ("drift", ("r001-t00",), "r001-t00")
    assert [problem.id for problem in document.of(after).nodes["r001-t00"].problems] == ["drift"]
    settled = build(fold(after.standing.inventory or Inventory(), Drifted(frozenset())), after)
    assert settled.drift == ()
    assert settled.delta.nodes == {"r001-t00"}
    assert after.nodes["r001-t00"].health == graph.nodes["r001-t00"].health, "drift makes nobody ill"


def test_drift_outlives_a_relist() -> None:
    nodes = upgraded(racks(2), lambda name: name == "r001-t00")
    first = fold(Inventory(), Listed(nodes))
    graph = build(first)
    drifted = fold(first, Drifted(at_once(graph)))
    assert fold(drifted, Listed(racks(2))).drift == drifted.drift


_FLEETS = st.dictionaries(
    st.tuples(st.integers(1, 4), st.integers(0, 3)), st.sampled_from(["580.65.06", "590.1"]), max_size=12
)


@settings(max_examples=30)
@given(_FLEETS, st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_come_decides_nothing(fleet: dict[tuple[int, int], str], random: Random) -> None:
    nodes = {machines.name(*place): fleets.machine(*place, driver=driver) for place, driver in fleet.items()}
    names = list(nodes)
    random.shuffle(names)
    assert found({name: nodes[name] for name in names}) == found(nodes)


@settings(max_examples=30)
@given(_FLEETS)
def test_nodes_that_went_leave_nothing_behind(fleet: dict[tuple[int, int], str]) -> None:
    watched = FleetDrift()
    sights: dict[str, NodeSight | None] = {
        machines.name(*place): sight_of(readable(machines.name(*place), fleets.machine(*place, driver=driver)))
        for place, driver in fleet.items()
    }
    watched.see(sights, 0)
    watched.tick(0)
    watched.see(dict.fromkeys(sights), 1)
    watched.tick(1)
    assert watched.findings({}) == frozenset()
    assert not watched.drifting


@pytest.mark.parametrize("one", [NodeTopology(unseen=("gpus",)), NodeTopology()])
def test_of_a_node_that_says_nothing_nothing_is_compared(one: NodeTopology) -> None:
    assert sight_of(readable("n", one)) is None


def test_a_node_whose_fabric_registers_is_booting_and_one_that_nobody_judged_is_not() -> None:
    node = readable("a", fleets.machine(1, 1))
    assert node.judged is not None
    found = {}
    for level in ("ok", "registering", "fault"):
        sight = sight_of(dataclasses.replace(node, judged=node.judged._replace(level=level)))
        assert sight is not None
        found[level] = sight.booting
    assert found == {"ok": False, "registering": True, "fault": False}
    unjudged = sight_of(dataclasses.replace(node, judged=None))
    assert unjudged is not None
    assert not unjudged.booting


def test_rails_are_counted_unless_nics_are_not_shown_or_hang() -> None:
    node = fleets.machine(1, 1)
    assert readable("a", node).rail_nics
    assert readable("a", replace(node, unseen=("nics",))).rail_nics is None
    assert readable("a", replace(node, unseen=("nvmes",))).rail_nics
