"""When a difference counts as drift: it lasts, the node has booted, and nobody works on it."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.cluster.deviants import Group, consensus, deviations
from nvtopo.cluster.drift import Drifts, Sight, Timing
from nvtopo.cluster.traits import Fact, Shape
from nvtopo.model.changes.change import Change

_FACT = Fact("host", "host", "driverVersion")
_TIMING = Timing(debounce_seconds=60, grace_seconds=600)


def change(after: str = "2", before: str = "1") -> Change:
    return Change(kind="host", subject="host", path="driverVersion", before=before, after=after)


DIFFERS = Sight((change(),))
SAME = Sight()


def drifting(steps: list[tuple[float, Sight | None]], *, first: bool = True, lasted: bool = True) -> list[bool]:
    """Whether the node drifts after each step; a sight that is the one before stands for time alone."""
    drifts, found = Drifts(_TIMING), []
    before: object = ()
    for number, (now, sight) in enumerate(steps):
        if sight is not before:
            drifts.see("n", sight, now, first=first and number == 0, lasted=first and lasted and number == 0)
        drifts.tick(now)
        found.append("n" in drifts.drifting)
        before = sight
    return found


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([(0, DIFFERS)], [True]),
        ([(0, SAME), (10, DIFFERS), (69, DIFFERS), (70, DIFFERS)], [False, False, False, True]),
        ([(0, SAME), (10, DIFFERS), (69, SAME), (70, DIFFERS), (129, DIFFERS)], [False] * 5),
        ([(0, DIFFERS), (10, SAME), (69, SAME), (70, SAME)], [True, True, True, False]),
        ([(0, DIFFERS), (10, SAME), (69, DIFFERS), (70, DIFFERS), (1000, DIFFERS)], [True] * 5),
        (
            [(0, Sight((change(),), booting=True)), (599, DIFFERS), (1198, DIFFERS), (1199, DIFFERS)],
            [False] * 2 + [True] * 2,
        ),
        ([(0, Sight(planned=True)), (10, DIFFERS), (609, DIFFERS), (610, DIFFERS)], [False, False, False, True]),
        ([(0, DIFFERS), (10, Sight(planned=True)), (5000, Sight(planned=True))], [True, False, False]),
        ([(0, DIFFERS), (10, None)], [True, False]),
        ([(0, DIFFERS), (10, Sight(heard=False)), (5000, Sight(heard=False))], [True, True, True]),
        ([(0, SAME), (10, Sight(heard=False)), (20, DIFFERS), (619, DIFFERS), (620, DIFFERS)], [False] * 4 + [True]),
    ],
    ids=[
        "at the first look",
        "after it lasted",
        "not if it comes and goes",
        "until it is away as long",
        "still, if it goes and comes",
        "not while booting",
        "not in maintenance, and after it with grace",
        "maintenance ends it",
        "a node that is deleted drifts in nothing",
        "who is not heard stays as it was",
        "who is heard again has a grace",
    ],
)
def test_drift(steps: list[tuple[float, Sight | None]], found: list[bool]) -> None:
    assert drifting(steps) == found


def test_a_node_that_appears_later_has_a_grace() -> None:
    assert drifting([(0, DIFFERS), (599, DIFFERS), (600, DIFFERS)], first=False) == [False, False, True]


def test_what_nobody_knew_of_before_the_first_look_must_last() -> None:
    assert drifting([(0, DIFFERS), (59, DIFFERS), (60, DIFFERS)], lasted=False) == [False, False, True]


def test_the_value_that_is_shown_is_the_latest_one() -> None:
    drifts = Drifts(_TIMING)
    drifts.see("n", DIFFERS, 0, first=True, lasted=True)
    assert drifts.tick(0) == {"n"}
    assert drifts.tick(1) == frozenset()
    drifts.see("n", Sight((change("3"),)), 2)
    assert drifts.tick(2) == {"n"}
    assert drifts.drifting == {"n": (change("3"),)}


@given(st.lists(st.tuples(st.integers(1, 59), st.booleans()), max_size=30))
def test_what_never_lasts_is_never_drift(steps: list[tuple[int, bool]]) -> None:
    drifts, now = Drifts(_TIMING), 0.0
    drifts.see("n", SAME, now, first=True)
    for seconds, seen in steps:
        drifts.see("n", DIFFERS if seen else SAME, now)
        now += seconds
        drifts.tick(now)
        drifts.see("n", SAME, now)
        assert drifts.drifting == {}


_SHAPE = Shape("A", ("G",))


def groups(**values: str) -> dict[Group, dict[Fact, int | str]]:
    return {Group("rack", name, _SHAPE): {_FACT: value} for name, value in values.items()}


def found(groups_: dict[Group, dict[Fact, int | str]]) -> dict[str, tuple[object, object]]:
    return {group.id: (one.before, one.after) for group, (one,) in deviations(groups_).items()}


def test_the_rack_that_differs_from_most_is_named() -> None:
    assert found(groups(a="1", b="1", c="2")) == {"c": ("1", "2")}
    assert found(groups(a="1", b="1")) == {}
    assert found(groups(a="1")) == {}


def test_a_tie_names_all_and_says_so() -> None:
    assert found(groups(a="1", b="2")) == {"a": (["1", "2"], "1"), "b": (["1", "2"], "2")}
    assert found(groups(a="1", b="1", c="2", d="2"))["d"] == (["1", "2"], "2")


@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from("123"), min_size=1), st.randoms(use_true_random=False)
)
def test_the_order_of_groups_decides_nothing(values: dict[str, str], random: Random) -> None:
    made = groups(**values)
    items = list(made.items())
    random.shuffle(items)
    assert deviations(dict(items)) == deviations(made)


@given(st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from("123"), min_size=1))
def test_who_is_named_has_not_what_more_than_half_have(values: dict[str, str]) -> None:
    named = found(groups(**values))
    most = [value for value in "123" if sum(one == value for one in values.values()) * 2 > len(values)]
    assert named.keys() == {name for name, value in values.items() if [value] != most}


def test_a_rack_has_what_most_of_its_nodes_have() -> None:
    assert consensus([{_FACT: "1"}] * 3 + [{_FACT: "2"}]) == {_FACT: "1"}
    assert consensus([{_FACT: "1"}, {_FACT: "2"}]) == {}
    assert consensus([{_FACT: "1"}]) == {}
