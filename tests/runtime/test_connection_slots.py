"""Who keeps a slot: tables of what happens, and what must hold whatever does."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.runtime.connection_slots import ConnectionSlots, Limits, Reason

LIMITS = Limits(
    total=4, one_client=3, busy=4, known=3, head=10.0, answer=60.0, idle=75.0, unread=15.0, streams=2, stream=100.0
)

#: What happens: (method, connection, client or nothing).
Step = tuple[str, str] | tuple[str, str, str]


def play(*steps: Step, limits: Limits = LIMITS) -> tuple[ConnectionSlots[str], list[tuple[str, Reason]]]:
    """One step a second; the drops that they caused."""
    slots: ConnectionSlots[str] = ConnectionSlots(limits)
    drops: list[tuple[str, Reason]] = []
    for now, (what, key, *client) in enumerate(steps):
        drops += do(slots, what, key, client[0] if client else "", float(now))
    return slots, drops


def do(slots: ConnectionSlots[str], what: str, key: str, client: str, now: float) -> list[tuple[str, Reason]]:
    acts: dict[str, Callable[[], object]] = {
        "enter": lambda: slots.enter(key, client, now),
        "asks": lambda: slots.asks(key, now),
        "probes": lambda: slots.probes(key, now),
        "vouch": lambda: slots.vouch(key),
        "answered": lambda: slots.answered(key, now),
        "stream": lambda: slots.stream(key, now),
        "stalled": lambda: slots.stalled(key, now),
        "flowing": lambda: slots.flowing(key),
        "leave": lambda: slots.leave(key),
    }
    found = acts[what]()
    return [(drop.key, drop.reason) for drop in found] if isinstance(found, list) else []


def crowd(*kinds: str) -> list[Step]:
    """Four connections of four clients, each brought to its kind, the first one first."""
    steps: list[Step] = []
    for number, kind in enumerate(kinds):
        key = f"{kind}{number}"
        steps.append(("enter", key, f"client{number}"))
        if kind == "probe":
            steps.append(("probes", key))
        elif kind != "waiting":
            steps.append(("asks", key))
        if kind.startswith("known"):
            steps.append(("vouch", key))
        if kind in {"known-idle", "idle"}:
            steps.append(("answered", key))
    return steps


@pytest.mark.parametrize(
    ("kinds", "goes"),
    [
        (("waiting", "waiting", "waiting", "waiting"), "waiting0"),
        (("busy", "waiting", "busy", "waiting"), "waiting1"),
        (("busy", "idle", "busy", "busy"), "idle1"),
        (("busy", "busy", "busy", "busy"), "busy0"),
        (("known", "busy", "known", "known"), "busy1"),
        (("known-idle", "known", "known", "waiting"), "waiting3"),
        (("known-idle", "known", "known-idle", "busy"), "busy3"),
        (("probe", "known", "probe", "known"), "known1"),
        (("probe", "probe", "probe", "probe"), "probe0"),
    ],
)
def test_a_newcomer_takes_the_slot_of_the_one_that_has_shown_least(kinds: tuple[str, ...], goes: str) -> None:
    slots, drops = play(*crowd(*kinds), ("enter", "new", "newcomer"))
    assert drops == [(goes, Reason.CROWD)]
    assert "new" in slots
    assert len(slots) == LIMITS.total


def test_strangers_that_are_answered_are_bounded_and_readers_that_are_known_do_not_count() -> None:
    few = LIMITS._replace(busy=2)
    steps = crowd("known", "busy", "busy", "waiting")
    slots, drops = play(*steps, ("asks", "waiting3"), limits=few)
    assert drops == [("busy1", Reason.CROWD)]
    assert "waiting3" in slots


def test_streams_do_not_count_as_answers_under_way() -> None:
    few = LIMITS._replace(busy=1)
    _, drops = play(*_streams("1", "2"), ("enter", "a", "3"), ("asks", "a"), limits=few)
    assert drops == []


def test_the_client_that_holds_most_gives_first() -> None:
    _, drops = play(
        ("enter", "a", "1"), ("enter", "b", "2"), ("enter", "c", "2"), ("enter", "d", "3"), ("enter", "e", "4")
    )
    assert drops == [("b", Reason.CROWD)]


def test_a_client_with_too_many_gives_up_its_own() -> None:
    _, drops = play(
        ("enter", "other", "9"),
        ("enter", "a", "1"),
        ("asks", "a"),
        ("enter", "b", "1"),
        ("enter", "c", "1"),
        ("enter", "d", "1"),
    )
    assert drops == [("b", Reason.CLIENT)], "the other client waits as well, and longer"


def test_readers_that_are_known_leave_slots_to_newcomers() -> None:
    steps = crowd("known", "known", "known-idle", "waiting")
    slots, drops = play(*steps, ("asks", "waiting3"), ("vouch", "waiting3"))
    assert drops == [("known-idle2", Reason.CROWD)]
    assert len(slots) == 3


@pytest.mark.parametrize(
    ("steps", "at", "reason"),
    [
        ([("enter", "a", "1")], 10.0, Reason.HEAD),
        ([("enter", "a", "1"), ("asks", "a")], 61.0, Reason.ANSWER),
        ([("enter", "a", "1"), ("asks", "a"), ("answered", "a")], 77.0, Reason.IDLE),
        ([("enter", "a", "1"), ("asks", "a"), ("stalled", "a")], 17.0, Reason.UNREAD),
        ([("enter", "a", "1"), ("asks", "a"), ("stalled", "a"), ("flowing", "a")], 61.0, Reason.ANSWER),
        ([("enter", "a", "1"), ("asks", "a"), ("stream", "a"), ("stalled", "a")], 18.0, Reason.UNREAD),
        ([("enter", "a", "1"), ("asks", "a"), ("answered", "a"), ("asks", "a")], 63.0, Reason.ANSWER),
    ],
)
def test_each_state_has_its_time(steps: list[Step], at: float, reason: Reason) -> None:
    slots, _ = play(*steps)
    assert slots.overdue(at - 0.01) == []
    assert [(drop.key, drop.reason) for drop in slots.overdue(at)] == [("a", reason)]
    assert (len(slots), slots.dropped) == (0, {reason: 1})


def test_a_stream_has_no_end() -> None:
    slots, _ = play(("enter", "a", "1"), ("asks", "a"), ("stream", "a"))
    assert slots.overdue(1e9) == []


def _streams(*clients: str) -> list[Step]:
    steps: list[Step] = []
    for number, client in enumerate(clients):
        steps += [("enter", f"s{number}", client), ("asks", f"s{number}"), ("stream", f"s{number}")]
    return steps


def test_streams_are_shared_out_between_clients() -> None:
    slots, drops = play(*_streams("1", "1", "2"))
    assert drops == [("s0", Reason.STREAMS)]
    assert slots.stream("s1", 9.0) is None, "client 2 holds no more than client 1"


def test_a_stream_keeps_its_slot_for_a_while_and_not_for_ever() -> None:
    slots, _ = play(*_streams("1", "1"))
    slots.enter("late", "1", 90.0)
    assert slots.stream("late", 101.9) is None
    assert [drop.key for drop in slots.stream("late", 102.0) or []] == ["s0"]


def test_no_streams_at_all() -> None:
    slots, _ = play(("enter", "a", "1"), limits=LIMITS._replace(streams=0))
    assert slots.stream("a", 1.0) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["enter", "enter", "asks", "probes", "vouch", "answered", "stream", "stalled", "flowing", "leave"]
        ),
        st.integers(0, 9).map(str),
        st.sampled_from("123"),
    ),
    max_size=60,
)


@given(STEPS, st.floats(0.0, 200.0))
def test_whatever_happens_limits_hold_and_a_newcomer_has_a_slot(steps: list[tuple[str, str, str]], late: float) -> None:
    slots: ConnectionSlots[str] = ConnectionSlots(LIMITS)
    inside: dict[str, str] = {}
    known: set[str] = set()
    dropped = 0
    for now, (what, key, client) in enumerate(steps):
        if what == "enter" and key in inside:
            continue
        gone = {name for name, _ in do(slots, what, key, client, float(now))}
        dropped += len(gone)
        if what == "enter":
            inside[key] = client
        if what == "vouch" and key in inside:
            known.add(key)
        if what == "leave":
            gone.add(key)
        for name in gone:
            inside.pop(name, None)
            known.discard(name)
        assert key in slots or what != "enter"
        assert len(slots) == len(inside) <= LIMITS.total
        assert len(known) <= LIMITS.known
        assert all(list(inside.values()).count(one) <= LIMITS.one_client for one in "123")
    late_ones = slots.overdue(len(steps) + late)
    assert len(slots) == len(inside) - len(late_ones)
    assert slots.dropped.total() == dropped + len(late_ones)
