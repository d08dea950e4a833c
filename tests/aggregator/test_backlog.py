import threading

from nvtopo.aggregator.backlog import Backlog
from nvtopo.cluster.inventory import Applied, Deleted, Listed
from tests.cluster import machines


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_latest_event_of_a_node_counts() -> None:
    backlog = Backlog(Clock())
    for event in (Applied("a", machines.tray()), Applied("b", machines.tray(number=1)), Deleted("a")):
        backlog.put(event)
    events, _ = backlog.take()
    assert events == [Deleted("a"), Applied("b", machines.tray(number=1))]


def test_a_list_replaces_what_came_before_and_not_what_comes_after() -> None:
    backlog = Backlog(Clock())
    for event in (Deleted("a"), Listed({}), Deleted("b")):
        backlog.put(event)
    assert backlog.take()[0] == [Listed({}), Deleted("b")]


def test_what_was_taken_is_gone() -> None:
    backlog = Backlog(Clock())
    backlog.put(Deleted("a"))
    backlog.take()
    assert backlog.take() == ([], 0.0)


def test_the_age_is_that_of_the_first_event() -> None:
    clock = Clock()
    backlog = Backlog(clock)
    backlog.put(Deleted("a"))
    clock.now = 2.0
    backlog.put(Deleted("b"))
    clock.now = 5.0
    assert backlog.take()[1] == 5.0


def test_closing_ends_the_wait() -> None:
    backlog = Backlog(Clock())
    closer = threading.Thread(target=backlog.close)
    closer.start()
    assert backlog.wait() is False
    closer.join()
