"""The audit trail: one entry for each change, once, however many replicas noted it; bounded in every way."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.history import (
    MOST_ENTRIES,
    Entry,
    History,
    Limits,
    Sight,
    continued,
    entries,
    kept,
    of_sights,
    unwritten,
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


def flip(at: str, *values: str) -> list[Entry]:
    """A fact that had these values one after the other, all noted in one second."""
    return [replace(entry(at), before=before, after=after) for before, after in pairwise(values)]


def minute(number: int) -> str:
    return f"2026-11-28T11:{number:02}:00Z"


def test_what_the_leader_wrote_a_little_later_is_written() -> None:
    ours = flip(minute(1), "1", "2")
    assert unwritten(ours, flip("2026-11-28T11:02:30Z", "1", "2")) == ()
    assert unwritten(ours, ()) == tuple(ours)
    assert continued(flip(minute(0), "0", "1"), ours) == (*flip(minute(0), "0", "1"), *ours)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([*flip(minute(1), "1", "2"), *flip(minute(2), "2", "3")], flip(minute(2), "1", "3")),
        (flip(minute(2), "1", "3"), [*flip(minute(1), "1", "2"), *flip(minute(2), "2", "3")]),
        (flip(minute(30), "1", "3"), [*flip(minute(1), "1", "2"), *flip(minute(2), "2", "3")]),
    ],
    ids=["it saw each", "we saw each", "nobody led for half an hour"],
)
def test_a_leader_that_saw_several_changes_at_once_or_each_has_written_them(
    theirs: list[Entry], ours: list[Entry]
) -> None:
    assert unwritten(ours, theirs) == ()


def test_who_leads_next_goes_on_where_the_trail_ends() -> None:
    theirs, ours = flip(minute(1), "1", "2"), flip(minute(2), "1", "3")
    left = unwritten(ours, theirs)
    assert [(one.before, one.after) for one in continued(theirs, left)] == [("1", "2"), ("2", "3")]
    assert continued(theirs, flip(minute(2), "1", "2")) == tuple(theirs), "no change any more"


def test_the_same_again_much_later_is_another_entry() -> None:
    theirs, ours = flip(minute(0), "1", "2"), flip(minute(30), "2", "1", "2")
    assert unwritten(ours, theirs) == tuple(ours)


def test_of_a_fact_that_goes_back_and_forth_as_much_is_written_as_is_closest_in_time() -> None:
    ours = [*flip(minute(1), "1", "2"), *flip(minute(2), "2", "1"), *flip(minute(3), "1", "2")]
    for number in range(1, 4):
        theirs = [replace(one, at=f"{one.at[:17]}09Z") for one in ours[:number]]
        assert unwritten(ours, theirs) == tuple(ours[number:])


def test_what_we_wrote_ourselves_is_counted_even_within_one_second() -> None:
    ours = flip(minute(1), "1", "2", "1", "2")
    for number in range(1, 4):
        assert unwritten(ours, ours[:number]) == tuple(ours[number:])


def test_a_count_of_changes_is_no_value_that_goes_on() -> None:
    one, other = (
        entries([Change(kind="k", subject=f"s{n}", path="p") for n in range(count)], _NOW)[-1:] for count in (20, 30)
    )
    assert continued(one, other) == (*one, *other)


@given(st.lists(st.sampled_from(["see", "write", "lag", "lead"]), max_size=40), st.integers(0, 3))
def test_whoever_leads_each_change_is_there_once_and_none_is_missing(steps: list[str], behind: int) -> None:
    """Three replicas see versions 0, 1, 2 …, some of them several at once; who leads writes its trail."""
    kept_trail: tuple[Entry, ...] = ()
    seen, version, leader = [0, 0, 0], 0, 0
    noted: list[tuple[Entry, ...]] = [(), (), ()]
    for number, step in enumerate([*steps, "lead", "see", "write", "lead", "see", "write"]):
        version += step != "write"
        for replica in range(3):
            if replica != behind or step == "see":
                new = flip(minute(number), str(seen[replica]), str(version)) if seen[replica] != version else []
                noted[replica], seen[replica] = unwritten((*noted[replica], *new), kept_trail), version
        leader = (leader + (step == "lead")) % 3
        if step == "write":
            kept_trail = continued(kept_trail, noted[leader])
            noted = [unwritten(one, kept_trail) for one in noted]
    values = [int(one.before) for one in kept_trail] + [int(one.after) for one in kept_trail[-1:]]
    assert values == sorted(set(values)), "each goes on from the one before"
    assert values[:1] + values[-1:] == [0, version]
    assert not any(noted), "the next leader has nothing to add"


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
    assert unwritten([entry()], [entry(at)]) == (entry(),)


def test_what_is_no_json_is_shown_as_it_stands() -> None:
    assert entry(after="torn{").change.after == "torn{"
