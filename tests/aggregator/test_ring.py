"""The ring of changes: whoever goes on gets every change once, or is told that it needs the whole."""

from hypothesis import given
from hypothesis import strategies as st

from nvtopo.aggregator.ring import MOST_CHANGE_BYTES, Limits, Ring, SentEvent

FEW = Limits(changes=3, size=100)


def chain(ring: Ring, sizes: list[int], first: int = 0) -> None:
    for generation, size in enumerate(sizes, first):
        ring.put(SentEvent(generation, generation + 1, b"x" * size))


def test_every_change_after_a_generation_in_order() -> None:
    ring = Ring(FEW)
    chain(ring, [1, 1])
    assert [change.generation for change in ring.after(0) or ()] == [1, 2]
    assert [change.generation for change in ring.after(1) or ()] == [2]
    assert ring.after(2) == []
    assert ring.after(3) == [], "the graph is published before its change is here"


def test_who_was_left_behind_is_slow_and_who_came_before_a_gap_is_not() -> None:
    ring = Ring(FEW)
    assert ring.after(0) is None
    chain(ring, [1] * 5)
    assert (ring.after(1), ring.slow(1), ring.slow(2)) == (None, True, False)
    ring.clear(9)
    assert (ring.after(4), ring.slow(4), ring.after(9)) == (None, False, [])


def test_a_change_as_long_as_the_graph_is_none() -> None:
    ring = Ring(Limits())
    chain(ring, [1, MOST_CHANGE_BYTES + 1, 1])
    assert (ring.after(0), ring.slow(0)) == (None, False)
    assert [change.generation for change in ring.after(2) or ()] == [3]


def test_a_change_that_does_not_follow_begins_anew() -> None:
    ring = Ring(FEW)
    chain(ring, [1])
    chain(ring, [1], first=7)
    assert ring.after(1) is None
    assert [change.generation for change in ring.after(7) or ()] == [8]


@given(st.lists(st.integers(0, 120), max_size=30), st.integers(0, 30))
def test_it_is_bounded_and_has_no_hole(sizes: list[int], asked: int) -> None:
    ring = Ring(FEW)
    ring.clear(0)
    chain(ring, sizes)
    found = ring.after(asked)
    if found is not None and asked <= len(sizes):
        assert [change.previous for change in found] == list(range(asked, len(sizes)))
        assert len(found) <= FEW.changes
        assert sum(len(change.event) for change in found) <= FEW.size
