"""Who leads, by tables: each replica with a clock of its own, and one Lease between them."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from nvtopo.kube.election import Election, LeaseSpec, Timing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TIMING = Timing()


class Replica:
    """One candidate; ``skew`` is how far its clocks are off, the monotonic and the time of day."""

    def __init__(self, name: str, lease: "Lease", skew: float = 0.0) -> None:
        self.name, self.lease, self.skew = name, lease, skew
        self.election = Election(name, draw=lambda: 0.5)

    def attempt(self, now: float, *, answered: bool = True) -> None:
        """Read, and write if it may; where it is not ``answered``, it never learns that it was written."""
        own = now + self.skew
        self.election.read(self.lease.spec, own)
        spec = self.election.bid(own, NOON + timedelta(seconds=own))
        if spec is not None:
            self.lease.spec = spec
            if answered:
                self.election.won(spec, own, own)

    def term(self, now: float) -> int | None:
        return self.election.term(now + self.skew)

    def release(self) -> None:
        self.election.read(self.lease.spec, 0)
        self.lease.spec = self.election.release(NOON) or self.lease.spec


class Lease:
    spec: LeaseSpec | None = None

    @property
    def holder(self) -> str | None:
        assert self.spec is not None
        return self.spec.holder_identity

    @property
    def transitions(self) -> int | None:
        assert self.spec is not None
        return self.spec.lease_transitions


def followed(one: Replica, *others: Replica) -> None:
    """``one`` leads from second 0, and the others have seen it renew."""
    for now in (-1, 0):
        one.attempt(now)
        for other in others:
            other.attempt(now)


@pytest.fixture
def lease() -> Lease:
    return Lease()


def test_first_takes_it_and_second_waits_as_long_as_it_is_renewed(lease: Lease) -> None:
    one, other = Replica("one", lease), Replica("other", lease)
    for now in range(0, 100, 2):
        one.attempt(now)
        other.attempt(now + 1)
        assert (one.term(now + 1), other.term(now + 1)) == (1, None)
    assert (lease.holder, lease.transitions) == ("one", 0)


@pytest.mark.parametrize("skew", [0.0, 7200.0, -7200.0, 1e8])
def test_holder_that_falls_silent_is_followed_after_the_duration_and_never_before_it_has_stopped(
    lease: Lease, skew: float
) -> None:
    one, other = Replica("one", lease), Replica("other", lease, skew)
    followed(one, other)
    led = {"one": 0.0, "other": float("inf")}
    for tenth in range(400):
        now = tenth / 10
        if one.term(now):
            led["one"] = now
        if tenth % 20 == 0:
            other.attempt(now)
        if other.term(now):
            led["other"] = min(now, led["other"])
    assert led["one"] < TIMING.renew_deadline <= TIMING.duration <= led["other"] <= TIMING.duration + TIMING.retry
    assert (lease.holder, lease.transitions) == ("other", 1)


def test_who_came_after_the_holder_s_last_sign_of_life_lets_those_go_first_who_were_there(lease: Lease) -> None:
    one, other, late = (Replica(name, lease) for name in ("one", "other", "late"))
    followed(one, other)
    late.attempt(0)
    late.attempt(23)
    assert lease.holder == "one"
    other.attempt(23)
    assert lease.holder == "other"
    last = Replica("last", lease)
    last.attempt(24)
    last.attempt(47)
    assert lease.holder == "other"
    last.attempt(48)
    assert lease.holder == "last", "nobody else is there"


def test_the_wait_begins_when_the_lease_was_seen_to_change_and_not_with_its_own_time(lease: Lease) -> None:
    one, other = Replica("one", lease), Replica("other", lease)
    one.attempt(0)
    other.attempt(1000)
    assert (lease.holder, other.term(1000)) == ("one", None), "its renewTime is old, but this replica saw it just now"
    one.attempt(1014)
    other.attempt(1015)
    assert lease.holder == "one"
    other.attempt(1030)
    assert lease.holder == "other"


@pytest.mark.parametrize(("seconds", "takes"), [(40, False), (5, True), (None, False), (0, False)])
def test_the_lease_says_how_long_to_wait_where_it_does(seconds: int | None, takes: bool) -> None:
    waits = Election("one")
    waits.read(LeaseSpec(holder_identity="other"), -1)
    spec = LeaseSpec(holder_identity="other", lease_duration_seconds=seconds)
    waits.read(spec, 0)
    assert (waits.bid(10, NOON) is not None) == takes
    assert waits.bid(40, NOON) is not None


@pytest.mark.parametrize("seconds", [1 << 40, -1])
def test_a_lease_that_is_none_of_ours_is_taken_in_minutes(seconds: int) -> None:
    waits = Election("one")
    waits.read(LeaseSpec(holder_identity="other"), -1)
    spec = LeaseSpec(holder_identity="other", lease_duration_seconds=seconds, lease_transitions=(1 << 31) - 1)
    waits.read(spec, 0)
    assert waits.bid(10, NOON) is None
    taken = waits.bid(120, NOON)
    assert taken is not None
    assert taken.lease_transitions == (1 << 31) - 1, "one more can't be stored"


def test_who_lets_go_is_followed_at_once_and_transitions_are_counted_on(lease: Lease) -> None:
    one, other = Replica("one", lease), Replica("other", lease)
    for expected in range(4):
        leader, waiter = (one, other) if expected % 2 == 0 else (other, one)
        leader.attempt(expected)
        assert (lease.holder, lease.transitions) == (leader.name, expected)
        leader.release()
        assert (leader.term(expected), lease.holder, lease.transitions) == (None, "", expected)
        assert lease.spec is not None
        assert lease.spec.lease_duration_seconds == 1
        waiter.attempt(expected + 0.5)


def test_only_the_holder_lets_go(lease: Lease) -> None:
    one, other = Replica("one", lease), Replica("other", lease)
    one.attempt(0)
    other.release()
    assert lease.holder == "one"


def test_acquire_time_is_that_of_the_acquisition_and_renew_time_moves(lease: Lease) -> None:
    one, other = Replica("one", lease), Replica("other", lease)
    one.attempt(0)
    one.attempt(4)
    assert lease.spec == LeaseSpec(
        holder_identity="one",
        lease_duration_seconds=15,
        acquire_time="2026-01-01T12:00:00.000000Z",
        renew_time="2026-01-01T12:00:04.000000Z",
        lease_transitions=0,
    )
    other.attempt(5)
    other.attempt(30)
    assert lease.spec.acquire_time == "2026-01-01T12:00:30.000000Z"


def test_a_term_goes_on_where_renewing_was_late_and_nobody_else_held_the_lease(lease: Lease) -> None:
    one = Replica("one", lease)
    one.attempt(0)
    assert one.term(9.9) == 1
    assert one.term(10) is None
    one.attempt(12)
    assert one.term(12) == 1


@pytest.mark.parametrize("answered", [True, False], ids=["told", "not told that it won"])
def test_a_new_term_begins_where_another_held_it_meanwhile(lease: Lease, answered: bool) -> None:
    one, other = Replica("one", lease), Replica("other", lease)
    followed(one, other)
    other.attempt(20)
    one.attempt(21)
    assert (one.term(21), other.term(21)) == (None, 1)
    one.attempt(40, answered=answered)
    one.attempt(42)
    assert one.term(42) == 2


@pytest.mark.parametrize("found", [None, LeaseSpec(holder_identity=""), LeaseSpec(holder_identity="other")])
def test_who_reads_that_it_does_not_hold_the_lease_stops_at_once(lease: Lease, found: LeaseSpec | None) -> None:
    one = Replica("one", lease)
    one.attempt(0)
    one.election.read(found, 1)
    assert one.term(1) is None


def test_renewal_counts_from_when_it_was_sent() -> None:
    one = Election("one")
    one.read(None, 0)
    spec = one.bid(0, NOON)
    assert spec is not None
    one.won(spec, sent_at=1, now=4)
    assert (one.term(10.9), one.term(11)) == (1, None)


def test_who_waits_does_not_ask_in_step_with_others() -> None:
    waits = [Election("one", draw=partial(float, drawn)).seconds_until_next() for drawn in (0.0, 0.5, 0.99)]
    assert waits == pytest.approx([2.0, 3.2, 4.376])
    leader = Election("one", draw=lambda: 0.99)
    leader.read(None, 0)
    leader.won(LeaseSpec(holder_identity="one"), 0, 0)
    assert leader.seconds_until_next() == 2.0


def test_an_attempt_that_hangs_costs_no_leadership_and_leaders_never_overlap() -> None:
    hanging = 2 * TIMING.request
    assert TIMING.retry + hanging + TIMING.retry <= TIMING.renew_deadline < TIMING.duration


def test_transitions_are_what_the_lease_says(lease: Lease) -> None:
    one = Replica("one", lease)
    assert one.election.transitions is None
    lease.spec = LeaseSpec(holder_identity="", lease_transitions=7)
    one.attempt(0)
    assert one.election.transitions == 8
