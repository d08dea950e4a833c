"""Which Events follow from what drifted before and what drifts now."""

from dataclasses import replace

from msgspec.structs import replace as changed

from nvtopo.cluster.drift_events import DriftEvent, between
from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.model.changes.node_events import LONGEST_NOTE_BYTES


def drift(nodes: tuple[str, ...], evidence: str, severity: str = "info") -> NodeFinding:
    made = found("drift", nodes, evidence)
    return replace(made, finding=changed(made.finding, severity=severity))


def said(events: list[DriftEvent]) -> list[tuple[str, str, str, str]]:
    return [(one.node, one.event.type, one.event.reason, one.event.note) for one in events]


def test_what_begins_is_told_by_node_and_a_loss_is_a_warning() -> None:
    now = (drift(("n2",), "fewer links", "warning"), drift(("n1",), "another driver"))
    assert said(list(between((), now))) == [
        ("n1", "Normal", "Drifted", "another driver"),
        ("n2", "Warning", "Drifted", "fewer links"),
    ]


def test_what_goes_on_is_not_told_again() -> None:
    now = (drift(("n1",), "another driver"), drift(("n1", "n2"), "rack r1 differs"))
    assert not list(between(now, now))
    more = (*now, drift(("n1",), "another kernel"))
    assert said(list(between(now, more))) == [("n1", "Normal", "Drifted", "another kernel")]


def test_a_rack_is_told_on_each_of_its_nodes_and_on_who_joins_it() -> None:
    before, after = (drift(("n1", "n2"), "rack r1 differs"),), (drift(("n1", "n2", "n3"), "rack r1 differs"),)
    assert [one.node for one in between((), before)] == ["n1", "n2"]
    assert [one.node for one in between(before, after)] == ["n3"]


def test_the_end_is_told_once_all_of_it_is_over() -> None:
    one, other = drift(("n1",), "another driver"), drift(("n1",), "another kernel")
    assert not list(between((one, other), (one,)))
    note = "no longer so: another driver"
    assert said(list(between((one,), ()))) == [("n1", "Normal", "DriftEnded", note)]


def test_a_long_difference_is_cut_to_what_an_event_may_hold() -> None:
    (event,) = between((), (drift(("n1",), "x" * 5000),))
    assert len(event.event.note.encode()) <= LONGEST_NOTE_BYTES
