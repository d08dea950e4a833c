"""Identifiers: in physical order at first, and the same for ever after, whoever is missing."""

from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.events import Deleted, Event, Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.identifiers import Numbered, Vote, assign, text
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.cluster.records import NodeRecord
from nvtopo.exporters import document
from nvtopo.model.records.facts import GpuFabric
from nvtopo.model.records.node import NodeTopology
from tests.cluster.machines import all_changed, domain_id, fabric, name, racks, serial, tray

NOW = "2026-11-28T12:00:00Z"
RACKS = st.sets(st.integers(1, 9), min_size=1)


def of(*places: int) -> list[Numbered]:
    return [Numbered(f"d{place}", (place,), [f"{place}a", f"{place}b"]) for place in places]


def votes(numbers: dict[str, int]) -> list[Vote]:
    return [Vote(f"{domain[1:]}{letter}", domain, number) for domain, number in numbers.items() for letter in "ab"]


@given(st.lists(RACKS, min_size=1, max_size=6))
def test_a_number_never_changes_and_none_is_given_twice(seen: list[set[int]]) -> None:
    known: dict[str, int] = {}
    for places in seen:
        found = assign(of(*places), votes(known))
        assert found.keys() == {f"d{place}" for place in places}
        assert {domain: known[domain] for domain in found if domain in known} == {
            domain: number for domain, number in found.items() if domain in known
        }
        known |= found
        assert len({*known.values()}) == len(known)


@given(st.permutations(list(range(1, 9))))
def test_what_is_found_together_is_in_physical_order(places: list[int]) -> None:
    found = assign(of(*places), ())
    shown = sorted(found, key=lambda domain: text("rack", found[domain]))
    assert shown == [f"d{place}" for place in range(1, 9)]


@given(st.sets(st.integers(1, 60), min_size=1, max_size=5), st.sets(st.integers(1, 60), max_size=5))
def test_what_is_found_between_is_shown_between(first: set[int], later: set[int]) -> None:
    known = dict(assign(of(*first), ()))
    found = assign(of(*first, *(later - first)), votes(known))
    assert sorted(found, key=found.__getitem__) == [f"d{place}" for place in sorted(first | later)]


def test_a_domain_under_another_id_keeps_its_number() -> None:
    known = dict(assign(of(1, 2), ()))
    found = assign([Numbered("new", (2,), ["2a", "2b", "2c"]), *of(1)], votes(known))
    assert found == {"d1": known["d1"], "new": known["d2"]}


def test_one_who_left_takes_no_number_with_it() -> None:
    known = dict(assign(of(1, 2), ()))
    found = assign([*of(1, 2), Numbered("own", (0,), ["2a"])], votes(known))
    assert {domain: found[domain] for domain in known} == known
    assert found["own"] not in known.values()


def shown(graph: ClusterGraph) -> dict[str, str | None]:
    return {key: entry.identifier for key, entry in document.of(graph).domains.items()}


def listed(nodes: dict[str, NodeTopology], records: dict[str, NodeRecord]) -> ClusterGraph:
    return build(fold_all(Inventory(), [Listed(nodes, {}, records)]), now=NOW)


def test_a_graph_shows_them_and_they_outlive_a_restart() -> None:
    first = listed(racks(3, 2), {})
    identifiers = shown(first)
    assert [identifiers[domain_id(rack)] for rack in (1, 2, 3)] == [
        "nvlinkdomain-00000016",
        "nvlinkdomain-00000032",
        "nvlinkdomain-00000048",
    ]
    assert identifiers[serial(2)] == "rack-00000032"
    later = listed({node: one for node, one in racks(3, 2).items() if "r001" not in node}, dict(first.records))
    assert shown(later) == {key: value for key, value in identifiers.items() if key in later.domains}


def test_a_rack_that_registers_again_under_another_cluster_keeps_its_number() -> None:
    first = listed(racks(2, 3), {})
    away = racks(2, 3) | {
        name(1, number): all_changed(tray(1, number), fabric=GpuFabric(state="in-progress")) for number in range(3)
    }
    second = listed(away, dict(first.records))
    assert domain_id(1) not in second.domains
    back = racks(2, 3) | {name(1, number): all_changed(tray(1, number), fabric=fabric(7)) for number in range(3)}
    third = listed(back, dict(second.records))
    assert shown(third)[domain_id(7)] == shown(first)[domain_id(1)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 6), st.integers(0, 1)),
        st.tuples(st.just("delete"), st.integers(1, 6), st.integers(0, 1)),
        st.just(("restart", 0, 0)),
    ),
    max_size=15,
)


@given(STEPS)
def test_nothing_that_stays_is_renumbered(steps: list[tuple[str, int, int]]) -> None:
    """Deleting one tray of two leaves its rack; identifiers are the same through restarts."""
    inventory = fold_all(Inventory(), [Listed({})])
    graph = build(inventory, now=NOW)
    for what, rack, number in steps:
        events: list[Event] = []
        if what == "add":
            events = [Listed(dict(inventory.nodes) | {name(rack, number): tray(rack, number)})]
        elif what == "delete":
            events = [Deleted(name(rack, number))]
        else:
            inventory = fold_all(Inventory(), [Listed(dict(inventory.nodes), {}, dict(inventory.records))])
        before = shown(graph)
        inventory = fold_all(inventory, events)
        graph = build(inventory, None if what == "restart" else graph, now=NOW)
        inventory = inventory.recorded(graph.records)
        after = shown(graph)
        assert {key: after[key] for key in after.keys() & before.keys()} == {
            key: before[key] for key in after.keys() & before.keys()
        }
        assert len({*after.values()}) == len(after)


def test_a_number_that_was_taken_over_stays_although_the_old_domain_is_still_recorded() -> None:
    votes = [Vote("a", "1-old", 16), Vote("e", "2-new", 16)]
    assert assign([Numbered("2-new", (0,), ("e",))], votes) == {"2-new": 16}
