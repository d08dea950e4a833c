"""Zones: what an operator's file says of power and cooling, through the graph to everybody who shows it."""

from nvtopo.aggregator import rack_metrics
from nvtopo.cluster.claims import Reading, ZoneClaim
from nvtopo.cluster.events import Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold
from nvtopo.exporters import document, racks, tables
from nvtopo.exporters.change_records import step
from nvtopo.placement import hosts
from nvtopo.placement.place import place
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment, NoFit
from nvtopo.sinks.metrics.series import text
from tests.cluster import machines

INVENTORY = fold(Inventory(), Listed(machines.racks(1, trays=4)))
NAMES = [machines.name(1, number) for number in range(4)]


def power(*nodes: str, feed: str = "feed-a") -> Reading:
    return Reading(zones=tuple(ZoneClaim(node, "power", feed) for node in nodes))


def zoned() -> ClusterGraph:
    cooling = Reading(zones=(ZoneClaim(NAMES[0], "cooling", "cdu-1"),))
    return build(INVENTORY, readings={"a": power(*NAMES[:2]), "b": power(NAMES[2], feed="feed-b"), "c": cooling})


def test_a_node_has_its_zones_and_the_operator_says_so() -> None:
    entries = document.of(zoned()).nodes
    first = entries[NAMES[0]].zones
    assert {kind: (one.zone, one.source) for kind, one in first.items()} == {
        "cooling": ("cdu-1", "operator"),
        "power": ("feed-a", "operator"),
    }
    assert entries[NAMES[3]].zones == {}


def test_zones_are_no_part_of_the_network() -> None:
    bare, graph = build(INVENTORY), zoned()
    assert dict(graph.domains) == dict(bare.domains)
    assert graph.edges == bare.edges
    assert [node.tiers for node in graph.nodes.values()] == [node.tiers for node in bare.nodes.values()]
    assert hosts.of_graph(graph).levels == hosts.of_graph(bare).levels


def test_files_that_disagree_count_for_nothing_and_are_a_finding() -> None:
    graph = build(INVENTORY, readings={"a": power(*NAMES), "b": power(NAMES[1], feed="feed-b")})
    assert [name for name in NAMES if "power" in graph.nodes[name].zones] == [NAMES[0], *NAMES[2:]]
    (finding,) = (one for one in graph.drift if one.nodes == (NAMES[1],))
    assert finding.reason == f"files name 2 power zones of {NAMES[1]}: feed-a, feed-b"


def test_a_node_of_which_only_a_zone_is_known_is_listed() -> None:
    graph = build(INVENTORY, readings={"a": power("misspelt")})
    assert graph.nodes["misspelt"].zones == {"power": "feed-a"}
    assert graph.nodes["misspelt"].gpus is None


def test_a_zone_that_changes_is_one_node_s_change() -> None:
    before = build(INVENTORY, readings={"a": power(*NAMES)})
    after = build(INVENTORY, before, {"a": power(*NAMES[1:])})
    assert after.delta.nodes == {NAMES[0]}
    assert [*step(before, after).nodes] == [NAMES[0]]
    gone = build(INVENTORY, after, {})
    assert gone.delta.nodes == {*NAMES[1:]}


def test_table_racks_and_metrics_show_them() -> None:
    graph = zoned()
    lines = tables.nodes(document.of(graph)).splitlines()
    assert lines[0].split()[-3:] == ["COOLING", "POWER", "PROBLEMS"]
    assert [line.split()[-3:-1] for line in lines[1:]] == [
        ["cdu-1", "feed-a"],
        ["-", "feed-a"],
        ["-", "feed-b"],
        ["-", "-"],
    ]
    head = next(line for line in racks.render(document.of(graph)).splitlines() if "  domain " in line)
    assert head.endswith("  cooling cdu-1  power feed-a, feed-b")
    page = text(rack_metrics.families(graph))
    assert f'nvtopo_graph_node_zone_info{{node="{NAMES[2]}",kind="power",zone="feed-b"}} 1' in page
    assert "zone_info" not in text(rack_metrics.families(build(INVENTORY)))


def test_a_gang_can_ask_for_a_zone() -> None:
    fleet = hosts.of_graph(zoned())
    selector = {"nvtopo.io/zone.power": "feed-a"}
    found = place(fleet, Request(pods=2, gpus=4, selector=selector))
    assert isinstance(found, Assignment)
    assert {rank.node for rank in found.ranks} == {*NAMES[:2]}
    refused = place(fleet, Request(pods=3, gpus=4, selector=selector))
    assert isinstance(refused, NoFit)
    assert refused.counts["no label nvtopo.io/zone.power=feed-a"] == 2
