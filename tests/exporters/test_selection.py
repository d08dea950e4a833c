"""Parts of a graph: the same from the graph and from its document, and never more than the whole has."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.claims import TIERS, Cable, Claim, Reading, SwitchPort
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.exporters import document, selection
from nvtopo.exporters.selection import Selection
from tests.cluster import machines

NODES = ["r001-t00", "r001-t03", "r002-t04", "torn", "nobody"]
DOMAINS = [machines.domain_id(1), machines.serial(2), "leaf-a", "spine-a", "none"]
SELECTIONS = st.builds(
    Selection,
    domain=st.none() | st.sampled_from(DOMAINS),
    tier=st.none() | st.sampled_from(TIERS),
    node=st.none() | st.sampled_from(NODES),
    drift=st.booleans(),
)


@cache
def fleet() -> ClusterGraph:
    """Two short racks: on two leaves below one spine, with a cable missing, and a node that can't be read."""
    nodes = machines.racks(2, trays=5)
    leaf = {name: f"leaf-{'a' if name < 'r001-t03' else 'b'}" for name in nodes}
    reading = Reading(
        tuple(Claim(name, "leaf", leaf[name], "lldp") for name in nodes)
        + tuple(Claim(name, "spine", "spine-a", "lldp") for name in nodes),
        tuple(SwitchPort(name, 0, None, "mlx5_0", f"switch-{leaf[name]}", "1", "lldp") for name in nodes),
        (
            Cable("spine-1", "switch-leaf-a", "lldp"),
            Cable("r001-t00", "switch-leaf-a", "lldp"),
            Cable("r002-t04", "switch-leaf-b", "lldp", present=False),
        ),
    )
    listed = Listed(nodes | {"twin": machines.tray(1, 3)}, {"torn": "not JSON"})
    return build(fold(Inventory(), listed), None, {"lldp": reading})


@given(SELECTIONS)
def test_the_part_is_the_same_from_the_graph_and_from_its_document(wanted: Selection) -> None:
    whole = document.of(fleet())
    part = selection.of_graph(fleet(), wanted)
    assert document.encode(part) == document.encode(selection.of_document(whole, wanted))
    for mine, all_of in ((part.nodes, whole.nodes), (part.domains, whole.domains)):
        assert [name for name in all_of if name in mine] == list(mine), "in the order of the whole"
    assert {*part.edges} <= {*whole.edges}
    assert {*part.drift} <= {*whole.drift}


def _part(**wanted: str | bool) -> document.GraphDocument:
    return selection.of_document(document.of(fleet()), Selection(**wanted))  # type: ignore[arg-type]  # by name


def test_a_domain_has_its_nodes_and_those_domains_that_lie_in_it() -> None:
    part = _part(domain="leaf-a")
    assert list(part.nodes) == ["r001-t00", "r001-t01", "r001-t02"]
    assert list(part.domains) == ["leaf-a"]
    spine = {*_part(domain="spine-a").domains}
    assert spine >= {"spine-a", "leaf-a", "leaf-b", machines.domain_id(2)}
    assert machines.domain_id(1) not in spine, "the twin is in that domain, and in no spine"


def test_a_tier_has_its_domains_and_the_nodes_in_one() -> None:
    part = _part(tier="leaf")
    assert list(part.domains) == ["leaf-a", "leaf-b"]
    assert "torn" not in part.nodes
    assert len(part.nodes) == 10


def test_a_node_has_all_domains_that_it_is_in_and_its_cables() -> None:
    part = _part(node="r001-t00")
    assert {one.tier for one in part.domains.values()} == {"nvlinkDomain", "rack", "leaf", "spine"}
    assert {(edge.a, edge.b) for edge in part.edges} == {
        ("spine-1", "switch-leaf-a"),
        ("r001-t00", "switch-leaf-a"),
    }


def test_drift_has_the_findings_their_nodes_and_missing_cables() -> None:
    part = _part(drift=True)
    assert part.drift == document.of(fleet()).drift
    assert {*part.nodes} == {name for found in part.drift for name in found.nodes if name in fleet().nodes}
    assert [edge.present for edge in part.edges] in ([], [False])
    assert "twin" in part.nodes
