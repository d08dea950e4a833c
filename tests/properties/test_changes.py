"""Whatever two machines are drawn: what is equal has no changes, what differs has some, each is one line of words."""

import json
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.model.changes.change import Change
from nvtopo.model.changes.topology import changes
from nvtopo.model.changes.words import text
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.snapshot import Snapshot
from tests.properties.machines import snapshots
from tests.properties.one_fact import Fact, another, facts


@given(snapshots())
def test_a_machine_does_not_differ_from_itself(snapshot: Snapshot) -> None:
    assert changes(assemble(snapshot), assemble(snapshot)) == ()


@given(snapshots(), snapshots())
def test_machines_that_differ_have_changes_and_so_the_other_way_round(one: Snapshot, other: Snapshot) -> None:
    before, after = assemble(one), assemble(other)
    assert bool(changes(before, after)) == (before != after) == bool(changes(after, before))


@given(snapshots(), snapshots())
def test_a_change_is_said_once_and_names_two_sides_that_differ(one: Snapshot, other: Snapshot) -> None:
    found = changes(assemble(one), assemble(other))
    texts = [text(change) for change in found]
    assert len(set(texts)) == len(texts)
    for change, words in zip(found, texts, strict=True):
        assert change.before != change.after
        assert change.subject in words
        assert "\n" not in words


@given(snapshots(), snapshots())
def test_a_change_travels_as_json(one: Snapshot, other: Snapshot) -> None:
    for change in changes(assemble(one), assemble(other)):
        assert list(json.loads(msgspec.json.encode(change))) == ["kind", "subject", "path", "before", "after"]
        assert msgspec.json.decode(msgspec.json.encode(change), type=Change) == change


@given(snapshots(), st.data())
def test_any_one_fact_that_differs_is_a_change_whose_words_name_its_subject_and_value(
    snapshot: Snapshot, data: st.DataObject
) -> None:
    before = assemble(snapshot)
    fact = data.draw(st.sampled_from(facts(before)))
    new = data.draw(another(fact))
    after = fact.put(new)
    assume(_of_one_driver(fact, new))
    found = [change for change in changes(before, after) if change.kind != "derived"]
    for value in _shown(fact, new):
        assert any(_names(change, fact, new) and value in text(change) for change in found), (fact.field, new, found)
    back = [change for change in changes(after, before) if change.kind != "derived"]
    assert {(change.path, *_sides(change)) for change in found} == {
        (change.path, *reversed(_sides(change))) for change in back
    }


def _sides(change: Change) -> tuple[str, str]:
    return json.dumps(change.before), json.dumps(change.after)


def _of_one_driver(fact: Fact, new: object) -> bool:
    """Where one side has no UUIDs at all, it comes from another tool, and conclusions alone are compared."""
    return fact.field != "uuid" or new != ""


def _shown(fact: Fact, new: Any) -> tuple[str, ...]:
    """What words there must be for the new value."""
    if new in (None, ""):
        return ("not known",)
    if isinstance(new, bool):
        return ("yes" if new else "no",)
    if fact.field.endswith("bytes_per_second"):
        return ("Gb/s",)
    return tuple(map(str, new)) if isinstance(new, tuple) else (str(new),)


def _names(change: Change, fact: Fact, new: object) -> bool:
    """Whether the words of a change name the thing that the fact is of, where that is not what changed."""
    return fact.subject in text(change) or change.path == "" or str(new) in change.subject


@given(snapshots(), st.data())
def test_new_numbers_alone_are_the_same_gpus(snapshot: Snapshot, data: st.DataObject) -> None:
    if snapshot.nvml is None:
        return
    numbers = data.draw(st.permutations([gpu.index for gpu in snapshot.nvml.gpus]))
    gpus = tuple(replace(gpu, index=index) for gpu, index in zip(snapshot.nvml.gpus, numbers, strict=True))
    after = assemble(replace(snapshot, nvml=replace(snapshot.nvml, gpus=gpus)))
    found = changes(assemble(snapshot), after)
    assert {change.path for change in found} <= {"index"}
    assert len(found) == sum(gpu.index != index for gpu, index in zip(snapshot.nvml.gpus, numbers, strict=True))
