"""Whatever two machines are drawn: what is equal has no changes, what differs has some, each is one line of words."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.model.assemble import assemble
from nvtopo.model.changes import changes
from nvtopo.model.snapshot import Snapshot
from tests.properties.machines import snapshots


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
    texts = [change.text for change in found]
    assert len(set(texts)) == len(texts)
    for change in found:
        assert change.before != change.after
        assert change.text.startswith(change.subject)
        assert "\n" not in change.text


@given(snapshots(), st.data())
def test_new_numbers_alone_are_the_same_gpus(snapshot: Snapshot, data: st.DataObject) -> None:
    if snapshot.nvml is None:
        return
    numbers = data.draw(st.permutations([gpu.index for gpu in snapshot.nvml.gpus]))
    gpus = tuple(replace(gpu, index=index) for gpu, index in zip(snapshot.nvml.gpus, numbers, strict=True))
    after = assemble(replace(snapshot, nvml=replace(snapshot.nvml, gpus=gpus)))
    found = changes(assemble(snapshot), after)
    assert {change.fact for change in found} <= {"index"}
    assert len(found) == sum(gpu.index != index for gpu, index in zip(snapshot.nvml.gpus, numbers, strict=True))
