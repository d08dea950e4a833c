"""Changes of the graph: applied to the document before they give the document after, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.events import Applied, Deleted, Event, Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.exporters import change_records, document
from nvtopo.exporters.change_records import applied, between, decode, encode, step
from tests.cluster import machines
from tests.cluster.test_incremental import EVENTS, READINGS

STEPS = st.lists(st.tuples(st.lists(EVENTS, min_size=1, max_size=3), READINGS | st.just({})), min_size=1, max_size=6)


@given(STEPS, st.sampled_from([None, "2026-11-05T00:00:00Z"]))
@pytest.mark.slow
def test_the_document_before_and_the_change_are_the_document_after(
    steps: list[tuple[list[Event], dict[str, object]]], now: str | None
) -> None:
    inventory = Inventory()
    before = build(inventory)
    first = known = document.of(before)
    for events, readings in steps:
        inventory = fold_all(inventory, events)
        graph = build(inventory, before, readings, now)  # type: ignore[arg-type]  # hypothesis knows no more
        change = step(before, graph)
        assert decode(encode(change)) == change
        known = applied(known, change)
        whole = document.of(graph)
        assert document.encode(known) == document.encode(whole)
        assert {*change.nodes} >= {*between(document.of(before), whole).nodes}
        assert document.encode(applied(first, between(first, whole))) == document.encode(whole), "over several"
        inventory, before = inventory.recorded(graph.records), graph


def _grown(events: list[Event]) -> tuple[ClusterGraph, ClusterGraph]:
    inventory = fold_all(Inventory(), [Listed(machines.racks(3))])
    before = build(inventory)
    return before, build(fold_all(inventory, events), before)


def test_one_change_names_what_it_concerns() -> None:
    ill = machines.changed(machines.tray(2, 3), 1, nvlinks=(machines.bundle("0-16"), machines.bundle("17", "inactive")))
    change = step(*_grown([Applied(machines.name(2, 3), ill)]))
    assert list(change.nodes) == [machines.name(2, 3)]
    assert not change.domains
    assert [found.kind for found in change.drift.added] == ["nvlink"]
    assert not change.drift.removed


def test_a_node_that_is_gone_is_null_and_its_domains_are_otherwise() -> None:
    change = step(*_grown([Deleted(machines.name(2, 3))]))
    assert change.nodes == {machines.name(2, 3): None}
    assert {*change.domains} == {machines.domain_id(2), machines.serial(2)}
    assert all(entry is not None and len(entry.nodes) == 17 for entry in change.domains.values())


def test_a_change_of_another_generation_is_refused() -> None:
    before, graph = _grown([Deleted(machines.name(2, 3))])
    with pytest.raises(ValueError, match="expected a change of generation"):
        applied(document.of(graph), step(before, graph))
    with pytest.raises(ValueError, match="expected the graph after generation"):
        step(graph, graph)
    assert between(document.of(graph), document.of(graph)).empty
    assert not change_records.between(document.of(before), document.of(graph)).empty
