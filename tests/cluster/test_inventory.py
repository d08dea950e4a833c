from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.inventory import Applied, Deleted, Event, Inventory, Listed, Unreadable, fold, fold_all
from nvtopo.model.records.node import NodeTopology
from tests.cluster import machines

NAMES = st.sampled_from("abcd")
TOPOLOGIES = st.integers(0, 2).map(lambda number: machines.tray(number=number))
CHANGES = st.one_of(
    st.builds(Applied, NAMES, TOPOLOGIES),
    st.builds(Unreadable, NAMES, st.sampled_from(["torn", "empty"])),
    st.builds(Deleted, NAMES),
)
LISTS = st.builds(
    Listed,
    st.dictionaries(NAMES, TOPOLOGIES),
    st.dictionaries(NAMES, st.just("torn")),
)


def content(inventory: Inventory) -> tuple[dict[str, NodeTopology], dict[str, str]]:
    return dict(inventory.nodes), dict(inventory.unreadable)


def interleave(events: Sequence[Event], order: Sequence[str]) -> list[Event]:
    """The events of each node in their own order, the nodes' turns as ``order`` has them."""
    queues = {name: [event for event in events if event.name == name] for name in order}  # type: ignore[union-attr]
    return [queues[name].pop(0) for name in order]


@given(st.data(), st.lists(CHANGES, max_size=8))
def test_events_of_different_nodes_commute(data: st.DataObject, events: list[Event]) -> None:
    turns = data.draw(st.permutations([event.name for event in events]))  # type: ignore[union-attr]
    assert content(fold_all(Inventory(), events)) == content(fold_all(Inventory(), interleave(events, turns)))


@given(st.lists(st.one_of(CHANGES, LISTS), max_size=8))
@pytest.mark.slow
def test_folding_all_is_folding_one_by_one(events: list[Event]) -> None:
    one_by_one = Inventory()
    for event in events:
        one_by_one = fold(one_by_one, event)
    assert fold_all(Inventory(), events) == one_by_one


@given(st.lists(st.one_of(CHANGES, LISTS), max_size=8))
def test_no_name_is_both_readable_and_not(events: list[Event]) -> None:
    inventory = fold_all(Inventory(), events)
    assert not {*inventory.nodes} & {*inventory.unreadable}


@given(st.lists(st.one_of(CHANGES, LISTS), max_size=8), st.one_of(CHANGES, LISTS))
@pytest.mark.slow
def test_an_event_seen_twice_changes_nothing_the_second_time(events: list[Event], event: Event) -> None:
    once = fold_all(Inventory(), [*events, event])
    assert fold(once, event) is once


def test_a_list_replaces_what_was_known() -> None:
    before = fold(Inventory(), Applied("old", machines.tray()))
    after = fold(before, Listed({"new": machines.tray()}, {"torn": "no JSON"}))
    assert content(after) == ({"new": machines.tray()}, {"torn": "no JSON"})
    assert after.generation == 2


def test_a_relist_of_equal_nodes_keeps_the_objects() -> None:
    first = machines.tray()
    before = fold(Inventory(), Applied("a", first))
    after = fold(before, Listed({"a": machines.tray(), "b": machines.tray(number=1)}))
    assert after.nodes["a"] is first


def test_a_broken_object_becomes_readable_again() -> None:
    broken = fold(Inventory(), Unreadable("a", "torn"))
    assert content(fold(broken, Applied("a", machines.tray()))) == ({"a": machines.tray()}, {})
