"""The policy of Events, without a thread, a server or a clock: what waits, what is due, what is counted."""

from datetime import UTC, datetime, timedelta

import pytest

from nvtopo.kube.event_queue import AGAIN_SECONDS, SERIES_SECONDS, EventQueue, Limits
from nvtopo.kube.events import Occurrence
from nvtopo.model.changes.node_events import NodeEvent

MOST_WAITING, MOST_SERIES, BURST, REFILL_SECONDS = Limits()
NODE = "node-a"


def event(number: int = 0) -> NodeEvent:
    return NodeEvent(type="Warning", reason="NVLinkDown", note=f"link {number}")


def date(seconds: float = 0) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def send(queue: EventQueue, due: Occurrence, clock: float) -> Occurrence:
    """As the sink does, at a server that takes everything."""
    sent = queue.longer(due, clock)
    if sent is None:
        queue.created()
    queue.sent(due, sent or due, clock)
    return sent or due


def test_what_happened_is_due_once_and_counts() -> None:
    queue = EventQueue(0)
    for second in range(3):
        queue.note(NODE, event(), date(second))
    assert queue.due(0) == [Occurrence(NODE, event(), date(0), date(2), times=3)]
    send(queue, queue.due(0)[0], 0)
    assert (queue.due(0), queue.waiting) == ([], 0)


def test_what_happens_again_while_it_is_sent_is_counted_once_later() -> None:
    queue = EventQueue(0)
    queue.note(NODE, event(), date(0))
    queue.note(NODE, event(), date(1))
    (due,) = queue.due(1)
    queue.note(NODE, event(), date(2))
    send(queue, due, 2)
    assert queue.waiting == 1
    (later,) = queue.due(2 + AGAIN_SECONDS)
    assert later == Occurrence(NODE, event(), date(2), date(2), times=1)
    assert send(queue, later, 2 + AGAIN_SECONDS) == Occurrence(NODE, event(), date(0), date(2), times=3)
    assert queue.waiting == 0


@pytest.mark.parametrize(
    ("after", "is_due"), [(AGAIN_SECONDS - 0.1, False), (AGAIN_SECONDS, True), (SERIES_SECONDS, True)]
)
def test_a_series_is_brought_up_to_date_now_and_then(after: float, *, is_due: bool) -> None:
    queue = EventQueue(0)
    queue.note(NODE, event(), date())
    send(queue, queue.due(0)[0], 0)
    queue.note(NODE, event(), date(after))
    assert bool(queue.due(after)) is is_due


@pytest.mark.parametrize(("after", "times"), [(SERIES_SECONDS - 0.1, 2), (SERIES_SECONDS, None)])
def test_what_happened_long_ago_is_no_series_any_more(after: float, times: int | None) -> None:
    queue = EventQueue(0)
    queue.note(NODE, event(), date())
    send(queue, queue.due(0)[0], 0)
    queue.note(NODE, event(), date(after))
    longer = queue.longer(queue.due(after)[0], after)
    assert (None if longer is None else longer.times) == times


def test_news_is_held_to_a_rate() -> None:
    queue = EventQueue(0)
    for number in range(BURST + 5):
        queue.note(NODE, event(number), date())
    for due in queue.due(0):
        send(queue, due, 0)
    assert queue.waiting == 5
    assert queue.due(0) == []
    assert len(queue.due(REFILL_SECONDS)) == 1
    assert len(queue.due(3 * REFILL_SECONDS)) == 3


def test_tokens_are_never_more_than_the_burst() -> None:
    queue = EventQueue(0)
    assert queue.due(1000 * REFILL_SECONDS) == []
    for number in range(BURST + 5):
        queue.note(NODE, event(number), date())
    assert len(queue.due(1000 * REFILL_SECONDS)) == BURST


def test_a_series_takes_no_token() -> None:
    queue = EventQueue(0)
    queue.note(NODE, event(), date())
    send(queue, queue.due(0)[0], 0)
    queue.note(NODE, event(), date(1))
    for number in range(1, BURST + 5):
        queue.note(NODE, event(number), date())
    due = queue.due(AGAIN_SECONDS)
    assert due[0].node_event == event()
    assert len(due) == 1 + BURST


def test_what_there_is_no_room_for_is_an_event_that_says_how_much() -> None:
    queue = EventQueue(0)
    for number in range(MOST_WAITING + 3):
        queue.note(NODE, event(number), date())
    assert queue.waiting == MOST_WAITING + 3
    queue.note_dropped(date())
    assert all(due.node_event.reason == "NVLinkDown" for due in queue.due(0))
    send(queue, queue.due(0)[0], 0)
    queue.note_dropped(date())
    queue.note_dropped(date())
    assert queue.waiting == MOST_WAITING
    dropped = [one for one in _everything(queue) if one.reason == "EventsDropped"]
    assert [one.note.split()[0] for one in dropped] == ["3"]


def _everything(queue: EventQueue) -> list[NodeEvent]:
    """What waits, sent until nothing does."""
    found: list[NodeEvent] = []
    clock = 1e6
    while queue.waiting:
        found.extend(send(queue, due, clock).node_event for due in queue.due(clock))
        clock += 100 * REFILL_SECONDS
    return found


def test_series_are_forgotten_the_oldest_first() -> None:
    queue = EventQueue(0)
    clock = 0.0
    for number in range(MOST_SERIES + 1):
        queue.note(NODE, event(number), date())
        clock += 1
        send(queue, Occurrence(NODE, event(number), date(), date()), clock)
    assert queue.longer(Occurrence(NODE, event(0), date(), date()), clock) is None
    assert queue.longer(Occurrence(NODE, event(1), date(), date()), clock) is not None
