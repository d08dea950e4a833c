"""The merge of claims: groups are compared, not names; what disagrees is a finding of both sources."""

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.claims import TIERS, Cable, Claim, Reading, SwitchPort, Tier
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.cluster.merge import merge, rank
from nvtopo.exporters import document
from tests.cluster.machines import domain_id, name, racks, serial

RACK = {name(1, number) for number in range(18)}


def said(source: str, domains: dict[str, set[str]], tier: Tier = "nvlinkDomain") -> Reading:
    return Reading(tuple(Claim(node, tier, domain, source) for domain in domains for node in sorted(domains[domain])))


def of(*readings: Reading) -> ClusterGraph:
    """Two racks of trays, and what others say of them."""
    return build(fold(Inventory(), Listed(racks(2))), None, {str(number): one for number, one in enumerate(readings)})


def tiers(graph: ClusterGraph, tier: str) -> dict[str, str]:
    return {node: entry.tiers[tier] for node, entry in graph.nodes.items() if tier in entry.tiers}


def test_two_names_of_one_group_are_one_domain_with_two_sources() -> None:
    graph = of(said("slurm", {"rack11": RACK}))
    assert {graph.nodes[node].tiers["nvlinkDomain"] for node in RACK} == {domain_id(1)}
    assert graph.nodes[name(1, 0)].tier_sources["nvlinkDomain"] == ("nvml", "slurm")
    assert graph.drift == ()


def test_a_node_that_one_source_does_not_know_joins_the_group_by_the_other() -> None:
    graph = of(said("slurm", {"rack11": RACK | {"quiet"}}))
    quiet = graph.nodes["quiet"]
    assert (quiet.tiers, quiet.tier_sources) == ({"nvlinkDomain": domain_id(1)}, {"nvlinkDomain": ("slurm",)})
    assert (quiet.gpus, quiet.topology, quiet.in_store, quiet.problems) == (None, None, False, ())


def test_a_source_that_places_a_node_elsewhere_is_a_finding_of_both_and_the_wire_decides() -> None:
    wrong = {"one": RACK - {name(1, 3)}, "two": {name(2, number) for number in range(18)} | {name(1, 3)}}
    graph = of(said("labels/aws", wrong))
    assert graph.nodes[name(1, 3)].tiers["nvlinkDomain"] == domain_id(1)
    (finding,) = graph.drift
    assert (finding.kind, finding.nodes) == ("tier", (name(1, 3),))
    assert "for nvml and two for labels/aws; nvml decides" in finding.reason
    assert finding in graph.nodes[name(1, 3)].findings


def test_a_source_with_finer_groups_disagrees_about_the_smaller_part() -> None:
    part = {name(1, number) for number in range(6)}
    graph = of(said("slurm", {"a": part, "b": RACK - part}))
    (finding,) = graph.drift
    assert set(finding.nodes) == part
    assert set(tiers(graph, "nvlinkDomain").values()) == {domain_id(1), domain_id(2)}


def test_an_operators_file_that_says_so_wins() -> None:
    graph = of(said("file/wins", {"here": {name(1, 0)}, "there": RACK - {name(1, 0)}}))
    assert graph.nodes[name(1, 0)].tiers["nvlinkDomain"] == "here"
    assert graph.nodes[name(1, 1)].tiers["nvlinkDomain"] == "there"
    assert [finding.kind for finding in graph.drift] == ["tier"]
    assert of(said("file", {"here": {name(1, 0)}})).nodes[name(1, 0)].tiers["nvlinkDomain"] == domain_id(1)


def test_a_source_that_contradicts_itself_does_not_count_for_that_node() -> None:
    graph = of(said("lldp", {"x": {"a", "b"}, "y": {"a", "c"}}, "leaf"))
    assert tiers(graph, "leaf") == {"b": "x", "c": "y"}
    (finding,) = graph.drift
    assert "lldp names 2 domains of a as its leaf: x, y" in finding.reason


def test_sources_are_ranked() -> None:
    ordered = ["file/wins", "nvml", "platform", "ibnetdiscover", "lldp", "file", "slurm", "topograph", "labels/aws"]
    assert sorted({*ordered}, key=rank) == ordered


def test_outer_tiers_hold_inner_ones() -> None:
    leaves = said("ibnetdiscover", {"leaf-1": RACK, "leaf-2": {name(2, number) for number in range(18)}}, "leaf")
    spine = said("ibnetdiscover", {"spine": {name(rack, number) for rack in (1, 2) for number in range(18)}}, "spine")
    graph = of(leaves, spine)
    parents = {key: domain.parent for key, domain in graph.domains.items()}
    assert parents[domain_id(1)] == serial(1)
    assert parents[serial(1)] == "leaf-1"
    assert (parents["leaf-1"], parents["spine"]) == ("spine", None)
    assert [*graph.nodes[name(1, 0)].tiers] == ["nvlinkDomain", "rack", "leaf", "spine"]


def test_an_id_that_tiers_share_is_two_domains() -> None:
    graph = of(said("slurm", {"r1": {"a", "b"}}), said("slurm", {"r1": {"b", "c"}}, "leaf"))
    assert graph.domains["r1"].nodes == ("a", "b")
    assert (graph.domains["leaf/r1"].nodes, graph.domains["leaf/r1"].name) == (("b", "c"), "leaf-r000001")


def test_rails_and_edges_name_the_switches() -> None:
    ports = (
        SwitchPort("a", 1, 0, "mlx5_1", "sw2", "1/2", "lldp"),
        SwitchPort("a", 0, None, "mlx5_0", "sw1", "1/1", "lldp"),
        SwitchPort("a", None, None, "mlx5_9", "sw9", "1/9", "lldp"),
    )
    missing = Cable("a", "sw3", "ibnetdiscover", present=False)
    graph = of(Reading(ports=ports, cables=(missing,)))
    assert [port.leaf for port in graph.nodes["a"].rails] == ["sw1", "sw2", "sw9"]
    entry = document.of(graph)
    assert [(edge.a, edge.b, edge.source, edge.present) for edge in entry.edges] == [
        ("a", "sw1", "lldp", True),
        ("a", "sw2", "lldp", True),
        ("a", "sw3", "ibnetdiscover", False),
        ("a", "sw9", "lldp", True),
    ]
    assert (entry.nodes["a"].rails[1].rail, entry.nodes["a"].rails[1].plane) == (1, 0)
    assert document.decode(document.encode(entry)) == entry


def test_a_refused_reading_is_a_finding() -> None:
    (finding,) = of(Reading(refused="expected `SwitchName=`, got `Foo` on line 3")).drift
    assert (finding.kind, finding.nodes, finding.finding.subject) == ("source", (), "0")
    assert finding.reason == "0: expected `SwitchName=`, got `Foo` on line 3"


CLAIMS = st.builds(
    Claim,
    st.sampled_from("abcdef"),
    st.sampled_from(TIERS),
    st.sampled_from(("1", "2", "3")),
    st.sampled_from(("nvml", "lldp", "slurm", "labels/aws", "file/wins")),
)


@given(st.lists(CLAIMS, max_size=30), st.randoms())
def test_the_same_claims_give_the_same_answer(claims: list[Claim], random: Random) -> None:
    shuffled = list(claims)
    random.shuffle(shuffled)
    whole = merge({"one": Reading(tuple(claims))})
    assert merge({"a": Reading(tuple(shuffled[::2])), "b": Reading(tuple(shuffled[1::2]))}) == whole


@given(st.lists(CLAIMS, max_size=30))
def test_a_single_source_is_believed_where_it_says_one_thing(claims: list[Claim]) -> None:
    alone = [claim._replace(source="lldp") for claim in claims]
    merged = merge({"one": Reading(tuple(alone))})
    for tier in TIERS:
        ids: dict[str, set[str]] = {}
        for claim in alone:
            if claim.tier == tier:
                ids.setdefault(claim.node, set()).add(claim.id)
        placed = {node: members[tier].id for node, members in merged.tiers.items() if tier in members}
        assert placed.keys() == {node for node, said_of in ids.items() if len(said_of) == 1}
        for one, other in combinations(placed, 2):
            assert (placed[one] == placed[other]) == (ids[one] == ids[other])


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_has_its_domains(tier: Tier) -> None:
    graph = build(Inventory(), None, {"x": said("slurm", {"d7": {"n1"}}, tier)})
    (domain,) = graph.domains.values()
    assert (domain.tier, domain.id, domain.nodes) == (tier, "d7", ("n1",))
    assert domain.name.startswith("rack-" if tier == "nvlinkDomain" else tier)


def test_sources_have_an_order_and_what_is_not_named_is_a_file() -> None:
    order = ["file/wins", "nvml", "platform", "ibnetdiscover", "lldp", "slurm", "labels"]
    ranks = [rank(source)[0] for source in order]
    assert sorted(set(ranks)) == ranks, "no two are equal"
    assert rank("labels/aws")[0] == rank("labels")[0]
    assert rank("file/a.yaml")[0] == rank("slurm")[0] == rank("anything")[0]
