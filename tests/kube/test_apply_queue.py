"""What is written when, by tables: no threads, no clock, no server."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvtopo.errors import ApiError, Conflict, Forbidden, NotFound
from nvtopo.kube.apply_queue import ApplyQueue, Limits, Outcome, Write, outcome_of
from nvtopo.kube.refusal import Throttled
from nvtopo.runtime.backoff import Backoff

WRITTEN, GONE, REFUSED, UNAVAILABLE = Outcome
#: So wide that a test of something else does not meet them.
WIDE = Limits(burst=10_000, per_second=10_000, in_flight=10_000)


def queue(limits: Limits = WIDE) -> ApplyQueue[str]:
    return ApplyQueue(limits, Backoff(first_seconds=1, longest_seconds=30, draw=lambda: 1.0))


def sent(asked: ApplyQueue[str], now: float = 0.0, term: int | None = 1) -> list[Write[str]]:
    """All that may be sent at that moment."""
    writes = []
    while (write := asked.next(now, term)) is not None:
        writes.append(write)
    return writes


def said(writes: Sequence[Write[str]]) -> list[tuple[str, str]]:
    return [(write.name, write.document) for write in writes]


def settled(asked: ApplyQueue[str], outcome: Outcome = WRITTEN, now: float = 0.0) -> list[tuple[str, str]]:
    """All that may be sent, each with that outcome."""
    writes = sent(asked, now)
    for write in writes:
        asked.done(write, outcome, now)
    return said(writes)


def test_newest_document_of_an_object_is_written_and_an_equal_one_is_not() -> None:
    asked = queue()
    for document in ("1", "2"):
        asked.want("a", document, 1)
    assert settled(asked) == [("a", "2")]
    asked.want("a", "2", 1)
    assert settled(asked) == []
    asked.want("a", "3", 1)
    asked.want("a", "2", 1)
    assert settled(asked) == [], "back to what is written"
    assert asked.waiting == 0


def test_an_object_is_never_written_twice_at_once_and_what_came_meanwhile_follows() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (first,) = sent(asked)
    asked.want("a", "2", 1)
    asked.want("b", "1", 1)
    assert said(sent(asked)) == [("b", "1")]
    asked.done(first, WRITTEN, 0)
    assert said(sent(asked)) == [("a", "2")]


@pytest.mark.parametrize("outcome", Outcome)
def test_what_is_under_way_counts_as_written_unless_it_was_not(outcome: Outcome) -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (write,) = sent(asked)
    asked.want("a", "1", 1)
    asked.done(write, outcome, 0)
    assert said(sent(asked, now=5)) == ([("a", "1")] if outcome is UNAVAILABLE else [])


def test_writes_are_bounded_in_number_under_way_and_in_rate() -> None:
    asked = queue(Limits(burst=5, per_second=2, in_flight=3))
    for number in range(20):
        asked.want(str(number), "1", 1)
    first = sent(asked)
    assert len(first) == 3
    for write in first:
        asked.done(write, WRITTEN, 0)
    second = sent(asked)
    assert len(second) == 2
    for write in second:
        asked.done(write, WRITTEN, 0)
    assert asked.seconds_until_next(0) == 0.5
    assert len(sent(asked, now=0.5)) == 1
    assert asked.waiting == 20 - 5


def test_2000_objects_at_a_server_that_says_429_are_a_few_requests() -> None:
    asked, now, requests = queue(Limits()), 0.0, 0
    for number in range(2000):
        asked.want(str(number), "1", 1)
    while now < 60:
        for write in sent(asked, now):
            requests += 1
            asked.done(write, UNAVAILABLE, now, retry_after=2)
        assert not asked.available
        now += asked.seconds_until_next(now)
    assert requests <= 4 + 60 / 2
    assert asked.waiting == 2000
    assert asked.outcomes[UNAVAILABLE] == requests


def test_one_outage_is_one_failure_however_many_writes_it_meets() -> None:
    asked = queue(Limits(in_flight=4))
    for name in "abcdef":
        asked.want(name, "1", 1)
    for write in sent(asked):
        asked.done(write, UNAVAILABLE, 0.1)
    assert asked.seconds_until_next(0.1) == pytest.approx(1.0)
    assert sent(asked, now=1.0) == []


def test_retry_after_is_waited_for_and_one_write_tries_whether_the_server_is_back() -> None:
    asked = queue(Limits(in_flight=4))
    for name in "abcdef":
        asked.want(name, "1", 1)
    (*others, last) = sent(asked)
    for write in others:
        asked.done(write, UNAVAILABLE, 0)
    asked.done(last, UNAVAILABLE, 0, retry_after=17)
    assert sent(asked, now=16.9) == []
    (probe,) = sent(asked, now=17)
    asked.done(probe, WRITTEN, 17.5)
    assert asked.available
    assert len(sent(asked, now=17.5)) == 4


def test_object_that_is_refused_stops_no_other_and_is_tried_again_changed_or_after_a_minute() -> None:
    asked = queue()
    asked.want("bad", "1", 1)
    assert settled(asked, REFUSED) == [("bad", "1")]
    asked.want("good", "1", 1)
    asked.want("bad", "1", 1)
    assert (settled(asked), asked.refused, asked.available) == ([("good", "1")], 1, True)
    asked.want("bad", "2", 1)
    assert (settled(asked, REFUSED, now=10), asked.refused) == ([("bad", "2")], 1)
    assert asked.seconds_until_next(60) <= 10
    assert settled(asked, REFUSED, now=69) == []
    assert settled(asked, WRITTEN, now=70) == [("bad", "2")]
    assert asked.refused == 0


def test_the_wait_ends_with_the_first_refusal_s_and_is_never_negative() -> None:
    asked = queue()
    assert asked.seconds_until_next(0) == float("inf")
    for name, now in (("a", 0.0), ("b", 7.0)):
        asked.want(name, "1", 1)
        assert settled(asked, REFUSED, now=now)
    assert asked.seconds_until_next(59.75) == 0.25
    assert asked.seconds_until_next(61) == 0


def test_what_failed_goes_to_the_end_so_that_every_object_has_its_turn() -> None:
    asked, now = queue(Limits(in_flight=1)), 0.0
    for name in "abc":
        asked.want(name, "1", 1)
    tried = []
    for _ in range(4):
        (write,) = sent(asked, now)
        tried.append(write.name)
        asked.done(write, UNAVAILABLE, now)
        now += asked.seconds_until_next(now)
    assert tried == ["a", "b", "c", "a"]


def test_object_that_is_gone_is_not_written_again_until_it_is_wanted_anew() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    assert settled(asked, GONE) == [("a", "1")]
    assert settled(asked, now=1000) == []
    asked.want("a", "1", 1)
    assert settled(asked) == [("a", "1")]


@pytest.mark.parametrize("late", [False, True], ids=["settled", "under way"])
def test_object_made_anew_is_written_though_the_one_before_was(late: bool) -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (write,) = sent(asked)
    if not late:
        asked.done(write, WRITTEN, 0)
    asked.forget("a")
    asked.want("a", "1", 1)
    if late:
        asked.done(write, WRITTEN, 0)
    assert said(sent(asked)) == [("a", "1")]


def test_who_does_not_lead_writes_nothing() -> None:
    asked = queue()
    for number in range(2000):
        asked.want(str(number), "1", 1)
    assert asked.next(0, term=None) is None
    assert asked.next(0, term=1) is not None
    assert asked.next(0, term=None) is None, "one write was under way when leadership was lost, and none follows"


def test_a_new_term_knows_nothing_of_what_was_wanted_or_written_before() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    assert settled(asked) == [("a", "1")]
    asked.want("b", "1", 1)
    assert asked.next(0, term=2) is None
    asked.want("a", "1", 2)
    assert said(sent(asked, term=2)) == [("a", "1")], "another leader may have written something else"


def test_what_an_earlier_term_concluded_or_wrote_late_does_not_count_in_the_next() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (late,) = sent(asked, term=1)
    asked.want("a", "2", 2)
    asked.want("a", "1", 1)
    assert asked.next(0, term=1) is None
    assert sent(asked, term=2) == [], "the late write of the same object is still under way"
    asked.done(late, WRITTEN, 0)
    assert said(sent(asked, term=2)) == [("a", "2")]


def test_what_an_earlier_term_wrote_late_is_written_again_in_the_next() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (late,) = sent(asked, term=1)
    asked.want("a", "1", 2)
    asked.done(late, WRITTEN, 0)
    assert said(sent(asked, term=2)) == [("a", "1")], "another leader may have written something else"


def test_a_document_that_was_refused_does_not_follow_a_newer_one() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (old,) = sent(asked)
    asked.want("a", "2", 1)
    asked.done(old, REFUSED, 0)
    assert (asked.refused, settled(asked)) == (0, [("a", "2")])
    assert settled(asked, now=1000) == []


def test_a_failure_after_a_success_pauses_for_the_shortest_time_again() -> None:
    asked, pauses = queue(Limits(in_flight=1)), []
    asked.want("a", "1", 1)
    for moment, outcome in ((0, UNAVAILABLE), (10, UNAVAILABLE), (20, WRITTEN), (30, UNAVAILABLE)):
        asked.want("a", str(moment), 1)
        (write,) = sent(asked, now=moment)
        asked.done(write, outcome, moment)
        pauses.append(0.0 if asked.available else asked.seconds_until_next(moment))
    assert pauses == [1, 2, 0, 1]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotFound("", status=404), GONE),
        (ApiError("no answer"), UNAVAILABLE),
        (Throttled("", status=429, retry_after=1), UNAVAILABLE),
        (ApiError("", status=500), UNAVAILABLE),
        (ApiError("", status=503), UNAVAILABLE),
        (Throttled("", status=409, retry_after=1), UNAVAILABLE),
        (Forbidden("", status=401), UNAVAILABLE),
        (Forbidden("", status=403), UNAVAILABLE),
        (ApiError("", status=400), REFUSED),
        (Conflict("", status=409), REFUSED),
        (ApiError("", status=413), REFUSED),
        (ApiError("", status=422), REFUSED),
    ],
    ids=lambda given: str(given.status) if isinstance(given, ApiError) else given.value,
)
def test_what_a_refusal_means(error: ApiError, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("12"), st.sampled_from([*Outcome, None]), st.booleans()),
        max_size=40,
    )
)
def test_in_the_end_every_object_is_what_was_wanted_last(steps: list[tuple[str, str, Outcome | None, bool]]) -> None:
    asked, there, wanted, now = queue(Limits(in_flight=2, refused_seconds=5)), dict[str, str](), dict[str, str](), 0.0
    under_way: list[Write[str]] = []

    def end(write: Write[str], outcome: Outcome) -> None:
        if outcome is WRITTEN:
            there[write.name] = write.document
        asked.done(write, outcome, now)

    for name, document, outcome, sends in steps:
        now += 1
        if outcome is None:
            asked.want(name, document, 1)
            wanted[name] = document
        elif under_way:
            end(under_way.pop(0), UNAVAILABLE if outcome is GONE else outcome)
        if sends and (write := asked.next(now, 1)):
            under_way.append(write)
    for write in under_way:
        end(write, WRITTEN)
    for _ in range(20):
        now += 60
        for write in sent(asked, now):
            end(write, WRITTEN)
    assert there == wanted
    assert (asked.waiting, asked.refused) == (0, 0)


def test_first_refusal_with_retry_after_pauses_for_that_long() -> None:
    asked = queue()
    asked.want("a", "1", 1)
    (write,) = sent(asked)
    asked.done(write, UNAVAILABLE, 0, retry_after=17)
    assert asked.seconds_until_next(0) >= 17
