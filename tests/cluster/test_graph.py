from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Applied, Inventory, Listed, fold
from nvtopo.exporters import document
from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from tests.cluster import machines
from tests.cluster.machines import all_changed, changed, domain_id, fabric, graph, hgx, name, racks, serial, tray

KINDS: dict[str, Callable[[int, int], NodeTopology]] = {
    "tray": tray,
    "partition": lambda rack, number: tray(rack, number, clique=2),
    "registering": lambda rack, number: all_changed(tray(rack, number), fabric=GpuFabric(state="in-progress")),
    "split": lambda rack, number: changed(tray(rack, number), 1, fabric=fabric(rack + 1)),
    "unhealthy": lambda rack, number: all_changed(tray(rack, number), fabric=fabric(rack, health_summary="unhealthy")),
    "hgx": lambda _rack, _number: hgx(),
    "empty": lambda _rack, _number: NodeTopology(),
}
NODES = st.builds(
    lambda kind, rack, number: KINDS[kind](rack, number),
    st.sampled_from(sorted(KINDS)),
    st.integers(1, 3),
    st.integers(0, 17),
)
CLUSTERS = st.dictionaries(st.text("abc", min_size=1, max_size=3), NODES, max_size=12)
UNREADABLE = st.dictionaries(st.text("xyz", min_size=1, max_size=2), st.just("torn"), max_size=3)


def encoded(one: ClusterGraph) -> bytes:
    return document.encode(document.of(one))


@given(st.data(), CLUSTERS, UNREADABLE)
def test_the_order_of_arrival_does_not_matter(
    data: st.DataObject, nodes: dict[str, NodeTopology], unreadable: dict[str, str]
) -> None:
    shuffled = dict(data.draw(st.permutations(list(nodes.items()))))
    backwards = dict(reversed(unreadable.items()))
    assert encoded(graph(nodes, unreadable)) == encoded(graph(shuffled, backwards))


@given(CLUSTERS, UNREADABLE)
def test_every_node_appears_exactly_once(nodes: dict[str, NodeTopology], unreadable: dict[str, str]) -> None:
    assert list(graph(nodes, unreadable).nodes) == sorted({*nodes, *unreadable})


@given(CLUSTERS, UNREADABLE)
def test_domains_partition_the_nodes_that_have_one(nodes: dict[str, NodeTopology], unreadable: dict[str, str]) -> None:
    built = graph(nodes, unreadable)
    for tier in ("nvlinkDomain", "rack"):
        listed = [member for domain in built.domains.values() if domain.tier == tier for member in domain.nodes]
        assert sorted(listed) == [node for node, entry in built.nodes.items() if tier in entry.tiers]
    for domain in built.domains.values():
        assert {built.nodes[member].tiers[domain.tier] for member in domain.nodes} == {domain.id}


@given(CLUSTERS)
def test_short_names_are_unique_in_their_tier(nodes: dict[str, NodeTopology]) -> None:
    domains = graph(nodes).domains.values()
    assert len({(domain.tier, domain.name) for domain in domains}) == len(domains)


@given(CLUSTERS, CLUSTERS)
def test_a_rebuild_equals_a_build_from_nothing(before: dict[str, NodeTopology], after: dict[str, NodeTopology]) -> None:
    first = fold(Inventory(), Listed(before))
    second = fold(first, Listed(after))
    assert encoded(build(second, build(first))) == encoded(build(second))


def test_a_rack_is_a_domain_in_physical_order() -> None:
    domain, rack = graph(racks(1)).domains.values()
    assert domain.id == domain_id(1)
    assert (rack.tier, rack.id, rack.nodes) == ("rack", serial(1), domain.nodes)
    assert (domain.parent, rack.parent) == (rack.id, None)
    assert domain.name == f"rack-{serial(1)}"
    assert domain.nodes == tuple(name(1, number) for number in range(18))
    assert domain.silent == ()


def test_physical_order_is_not_the_order_of_names() -> None:
    domain, _rack = graph({"a": tray(number=10), "b": tray(number=9)}).domains.values()
    assert domain.nodes == ("b", "a")


def test_a_position_is_what_all_gpus_say() -> None:
    built = graph({"a": tray(1, 4)}).nodes["a"]
    assert (built.position.chassis, built.position.slot, built.position.tray, built.position.host) == (
        serial(1),
        5,
        4,
        1,
    )


def test_gpus_that_disagree_about_their_tray_leave_it_unknown() -> None:
    node = tray(1, 4)
    platform = node.gpus[0].platform
    assert platform is not None
    built = graph({"a": changed(node, 0, platform=replace(platform, tray=5))})
    assert built.nodes["a"].position.tray is None
    assert built.nodes["a"].position.slot == 5
    assert [finding.reason for finding in built.drift] == ["its GPUs disagree about their tray: 4, 5"]


def test_a_node_in_two_domains_is_in_none_and_is_a_finding() -> None:
    built = graph({"a": KINDS["split"](1, 0), "b": tray(1, 1)})
    assert "nvlinkDomain" not in built.nodes["a"].tiers
    assert [(finding.kind, finding.nodes) for finding in built.drift] == [("domain", ("a",))]
    assert domain_id(2) in built.nodes["a"].problems[0].reason


@pytest.mark.parametrize(
    ("state", "verdict", "in_domain"),
    [
        (GpuFabric(state="in-progress"), "Registering", False),
        (fabric(1, status=3), "Error", False),
        (fabric(1, health_summary="unhealthy"), "Unhealthy", True),
    ],
)
def test_a_fabric_that_is_not_ready_is_a_finding(state: GpuFabric, verdict: str, *, in_domain: bool) -> None:
    built = graph({"a": all_changed(tray(), fabric=state)})
    assert built.nodes["a"].fabric == verdict
    assert ("nvlinkDomain" in built.nodes["a"].tiers) is in_domain
    assert [finding.kind for finding in built.drift] == ["fabric"]


def test_gpus_in_different_states_are_named() -> None:
    built = graph({"a": changed(tray(), 2, fabric=GpuFabric(state="in-progress"))})
    assert built.nodes["a"].fabric == "Mixed"
    assert "GPU2 Registering" in built.drift[0].reason


def test_a_domain_over_two_chassis_is_no_finding() -> None:
    nodes = {name(rack, 0): all_changed(tray(rack, 0), fabric=fabric(1)) for rack in (1, 2)}
    built = graph(nodes)
    assert built.domains[domain_id(1)].chassis == (serial(1), serial(2))
    assert built.domains[domain_id(1)].parent is None
    assert built.drift == ()


def test_partitions_of_one_rack_have_names_of_their_own() -> None:
    built = graph({"a": tray(1, 0, clique=1), "b": tray(1, 1, clique=2)})
    names = [domain.name for domain in built.domains.values()]
    assert names == [f"rack-{serial(1)}-00001", f"rack-{serial(1)}-00002", f"rack-{serial(1)}"]
    assert {domain.parent for domain in built.domains.values()} == {serial(1), None}


def test_a_gap_is_known_only_between_trays() -> None:
    nodes = {name(1, number): tray(1, number) for number in (2, 3, 6, 8)}
    domain, _rack = graph(nodes).domains.values()
    assert [(gap.first, gap.last) for gap in domain.silent] == [(4, 5), (7, 7)]


def test_a_tray_that_is_registering_is_not_silent() -> None:
    nodes = racks(1) | {name(1, 7): KINDS["registering"](1, 7)}
    assert graph(nodes).domains[domain_id(1)].silent == ()


def test_an_unreadable_node_is_kept_and_its_gpus_are_not_zero() -> None:
    node = graph({}, {"torn": "no JSON"}).nodes["torn"]
    assert node.gpus is None
    assert node.problems == (Problem(source="graph", subject="resource", reason="no JSON"),)


def test_a_node_whose_text_makes_no_sense_is_unreadable_and_harms_nobody() -> None:
    built = graph({"bad": changed(tray(), 0, nvlinks=(machines.bundle("zero to nine"),)), "good": tray(1, 1)})
    assert built.nodes["bad"].gpus is None
    assert "zero to nine" in built.nodes["bad"].problems[0].reason
    assert built.nodes["good"].tiers


def test_a_node_without_gpus_has_none() -> None:
    node = graph({"cpu": NodeTopology()}).nodes["cpu"]
    assert (node.gpus, dict(node.tiers), node.problems) == (0, {}, ())


def test_an_hgx_board_is_in_no_domain_and_that_is_no_finding() -> None:
    built = graph({"hgx": hgx()})
    assert not built.nodes["hgx"].tiers
    assert built.drift == ()


def test_two_nodes_in_one_place_with_one_gpu_are_findings_of_both() -> None:
    built = graph({"a": tray(), "b": tray()})
    assert [finding.kind for finding in built.drift] == ["same-gpu", "same-place"]
    assert [len(node.problems) for node in built.nodes.values()] == [2, 2]


def test_the_nodes_own_problems_come_first() -> None:
    own = Problem(source="rdma", subject="mlx5_0", reason="rate: EIO")
    node = replace(all_changed(tray(), fabric=fabric(1, status=3)), problems=(own,))
    assert graph({"a": node}).nodes["a"].problems[0] == own


def test_an_unchanged_node_is_not_looked_at_again() -> None:
    inventory = fold(Inventory(), Listed(racks(1)))
    before = build(inventory)
    after = build(fold(inventory, Applied(name(1, 3), changed(tray(1, 3), 0, mig=True))), before)
    anew = [node for node in after.nodes if after.nodes[node] is not before.nodes[node]]
    assert anew == [name(1, 3)]


def test_the_generation_is_the_inventorys() -> None:
    assert build(Inventory(generation=41)).generation == 41
