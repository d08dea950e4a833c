"""A graph that follows events is the graph that is built from nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.claims import TIERS, Claim, Reading, SwitchPort, ZoneClaim
from nvtopo.cluster.events import Applied, Deleted, Event, Listed, Recorded, Silent, Unreadable
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.cluster.records import ClaimRecord, NodeRecord
from nvtopo.exporters import document
from tests.cluster.machines import domain_id, tray
from tests.cluster.test_graph import NODES

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
RECORDS = st.builds(
    lambda number, rack: NodeRecord(
        claims=(
            ClaimRecord(
                first_seen=f"2026-11-0{number}T00:00:00Z",
                gpus=(f"GPU-{rack:08x}-0000-0000",),
                domains=(domain_id(rack),),
            ),
        )
    ),
    st.integers(1, 9),
    st.integers(1, 2),
)
EVENTS = st.one_of(
    st.builds(Applied, NAMES, NODES),
    st.builds(Unreadable, NAMES, st.just("torn")),
    st.builds(Deleted, NAMES),
    st.builds(Recorded, NAMES, RECORDS),
    st.builds(Silent, st.dictionaries(NAMES, st.sampled_from([None, "2026-11-28T21:00:00Z"]), max_size=2)),
    st.builds(
        Listed,
        st.dictionaries(NAMES, NODES, max_size=5),
        st.dictionaries(st.just("torn"), st.just("x")),
        st.dictionaries(NAMES, RECORDS),
    ),
)
CLAIMS = st.builds(
    Claim, NAMES, st.sampled_from(TIERS), st.sampled_from(["1", domain_id(1)]), st.sampled_from(["lldp", "slurm"])
)
PORTS = st.builds(
    SwitchPort, NAMES, st.just(0), st.none(), st.just("mlx5_0"), st.sampled_from("xy"), st.just("1"), st.just("lldp")
)
ZONES = st.builds(ZoneClaim, NAMES, st.just("power"), st.sampled_from(["feed-a", "feed-b"]))
READINGS = st.dictionaries(
    st.sampled_from(["one", "two"]),
    st.builds(
        Reading,
        st.lists(CLAIMS, max_size=4).map(tuple),
        st.lists(PORTS, max_size=2).map(tuple),
        zones=st.lists(ZONES, max_size=2).map(tuple),
    ),
    max_size=2,
)


def content(graph: ClusterGraph) -> tuple[object, ...]:
    return document.encode(document.of(graph)), graph.drift, dict(graph.nodes), dict(graph.domains)


def _moved(before: ClusterGraph, graph: ClusterGraph) -> set[str]:
    """The domains that are otherwise in the document."""
    was, now = document.of(before).domains, document.of(graph).domains
    return {name for name in {*was, *now} if was.get(name) != now.get(name)}


@given(
    st.lists(st.tuples(st.lists(EVENTS, min_size=1, max_size=3), READINGS | st.just({})), min_size=1, max_size=6),
    st.sampled_from([None, "2026-11-05T00:00:00Z"]),
)
@pytest.mark.slow
def test_it_follows_any_events(steps: list[tuple[list[Event], dict[str, Reading]]], now: str | None) -> None:
    inventory = Inventory()
    before = build(inventory)
    for events, readings in steps:
        inventory = fold_all(inventory, events)
        graph = build(inventory, before, readings, now)
        inventory = inventory.recorded(graph.records)
        scratch = build(inventory, None, readings, now)
        assert content(graph) == content(scratch)
        assert scratch.records is inventory.records
        names = {*before.nodes, *graph.nodes}
        assert graph.delta.nodes == {name for name in names if before.nodes.get(name) is not graph.nodes.get(name)}
        assert graph.delta.appeared == {*graph.drift} - {*before.drift}
        assert graph.delta.settled == {*before.drift} - {*graph.drift}
        assert graph.delta.since == before.generation
        assert graph.delta.moved >= _moved(before, graph)
        assert graph.delta.domains or before.domains.keys() == graph.domains.keys()
        before = graph


def test_one_change_looks_at_one_node() -> None:
    nodes = {f"n{number}": tray(number // 18 + 1, number % 18) for number in range(100)}
    inventory = fold_all(Inventory(), [Listed(nodes)])
    before = build(inventory)
    after = build(fold_all(inventory, [Applied("n3", tray(9, 3))]), before)
    assert after.delta.nodes == {"n3"}
    kept = [domain for domain in after.domains if after.domains[domain] is before.domains.get(domain)]
    assert len(kept) == len(before.domains) - 2
