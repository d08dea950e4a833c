"""The audit trail: one entry for each change, once, however many replicas noted it; bounded in every way."""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.history import (
    MOST_ENTRIES,
    Entry,
    History,
    Limits,
    Sight,
    entries,
    joined,
    kept,
    of_sights,
)
from nvtopo.model.changes.change import Change
from nvtopo.model.changes.topology import changes, fact_changes
from tests.cluster import fleets

_NOW = "2026-11-28T12:00:00Z"
_LIMITS = Limits()


def entry(at: str = _NOW, after: str = '"2"') -> Entry:
    return Entry(at=at, kind="host", subject="host", path="driverVersion", before='"1"', after=after)


def test_an_entry_is_the_typed_change_and_when() -> None:
    before, after = fleets.machine(), fleets.machine(driver="590.1")
    (one,) = entries(fact_changes(before, after), _NOW)
    assert one.at == _NOW
    assert one.change == Change(kind="host", subject="host", path="driverVersion", before=fleets.DRIVER, after="590.1")


def test_facts_alone_are_compared_and_they_are_the_facts_that_are_compared_elsewhere() -> None:
    before, after = fleets.machine(), fleets.machine(number=3, nics=1, driver="590.1")
    assert fact_changes(before, after) == tuple(one for one in changes(before, after) if one.kind != "derived")
    assert fact_changes(before, before) == ()


def test_a_thing_that_came_or_went_is_said_by_what_it_is_known_by() -> None:
    before, after = fleets.machine(nics=2), fleets.machine(nics=1)
    found = [one.change for one in entries(changes(before, after), _NOW) if one.kind == "nics"]
    assert [(one.subject, one.gone, one.before["name"]) for one in found] == [("mlx5_1", True, "mlx5_1")]


def test_a_machine_that_changes_altogether_is_a_few_entries_and_a_count() -> None:
    many = [Change(kind="nics", subject=f"n{number}", path="mtuBytes", before=1, after=2) for number in range(50)]
    found = entries(many, _NOW)
    assert len(found) == 17
    assert found[-1].change == Change(kind="more", subject="node", path="changes", before=0, after=34)


def test_what_the_aggregator_says_of_a_node_is_in_its_trail() -> None:
    (one,) = of_sights(Sight(ready=True), Sight(ready=False), _NOW)
    assert (one.kind, one.path, one.before, one.after) == ("node", "ready", "true", "false")
    assert of_sights(Sight(), Sight(), _NOW) == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=400),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=40), inner, max_size=5),
        max_leaves=20,
    )
)
def test_every_value_becomes_an_entry_that_its_schema_takes(value: Any) -> None:
    (one,) = entries([Change(kind="k", subject="s", path="p", before=value, after=None)], _NOW)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Entry) == one
    short = len(msgspec.json.encode(value).decode()) <= 128
    assert (one.change.before == value) or not short


_TRAILS = st.lists(
    st.builds(
        entry,
        st.integers(0, 59).map(lambda minute: f"2026-11-28T11:{minute:02}:00Z"),
        st.sampled_from(['"2"', '"3"']),
    ),
    max_size=12,
    unique_by=lambda one: (one.at, one.after),
)


@given(_TRAILS, st.integers(0, 50))
@example([entry(f"2026-11-28T11:0{minute}:00Z", '"2"') for minute in range(3)], 31)
def test_two_replicas_that_noted_the_same_have_one_trail(trail: list[Entry], seconds: int) -> None:
    later = [replace(one, at=f"{one.at[:17]}{seconds:02}Z") for one in trail]
    assert joined(later, trail) == tuple(sorted(trail, key=lambda one: (one.at, one.after)))


@given(_TRAILS)
def test_a_trail_joined_with_itself_or_nothing_is_itself(trail: list[Entry]) -> None:
    same = tuple(sorted(trail, key=lambda one: (one.at, one.after)))
    assert joined(trail, trail) == joined(trail, ()) == joined((), trail) == same


def test_the_same_again_much_later_is_another_entry() -> None:
    trail = (entry("2026-11-28T11:00:00Z"), entry("2026-11-28T11:30:00Z"))
    assert joined(trail[1:], trail[:1]) == trail


@pytest.mark.parametrize(
    ("limits", "count"),
    [(Limits(entries=5), 5), (Limits(entries=0), 0), (Limits(days=1 / 24), 31), (Limits(entries=10_000, days=1), 60)],
)
def test_a_trail_is_bounded_in_count_and_age_and_the_newest_stay(limits: Limits, count: int) -> None:
    trail = [entry(f"2026-11-28T11:{minute:02}:00Z") for minute in range(60)]
    found = kept(trail, limits, "2026-11-28T12:29:00Z")
    assert found == tuple(trail[60 - count :])


def test_a_trail_is_bounded_in_bytes() -> None:
    trail = [entry(f"2026-11-28T11:{minute:02}:00Z", f'"{"x" * 126}"') for minute in range(60)]
    long = [replace(one, subject="s" * 256, path="p" * 256) for one in trail * 4]
    found = kept(long, Limits(entries=MOST_ENTRIES), _NOW)
    assert 0 < len(msgspec.json.encode(found)) <= (16 << 10) + len(found) + 2
    assert msgspec.json.decode(msgspec.json.encode(found), type=History) == found


@pytest.mark.parametrize("at", ["2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z"])
def test_a_moment_that_no_calendar_has_is_long_ago(at: str) -> None:
    assert kept([entry(at)], _LIMITS, _NOW) == ()
    assert joined([entry()], [entry(at)])


def test_what_is_no_json_is_shown_as_it_stands() -> None:
    assert entry(after="torn{").change.after == "torn{"
