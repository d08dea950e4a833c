import threading

import pytest

from nvtopo.agent.delivery import Delivery
from nvtopo.errors import ApiError
from nvtopo.kube.refusal import Throttled
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.publish.sink import Sink
from tests.observations import observed


class Unsteady(Sink):
    """A sink that fails as often as it is told to."""

    name = "unsteady"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.writes = 0

    def write(self, observation: Observation) -> None:
        del observation
        self.writes += 1
        if self.writes <= self.failures:
            raise ApiError("the API server is away")


NODE = observed(NodeTopology())


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_attempts_are_made_in_the_caller_s_thread_and_those_before_their_time_are_none() -> None:
    sink, clock = Unsteady(failures=1), Clock()
    delivery = Delivery(sink, clock=clock)
    delivery.attempt(NODE)
    delivery.attempt(NODE)
    assert (sink.writes, delivery.delivered) == (1, False)
    clock.now += 1
    delivery.attempt(NODE)
    delivery.attempt(NODE)
    assert (sink.writes, delivery.delivered) == (3, True)


def test_a_server_that_says_when_to_come_again_is_not_asked_before() -> None:
    class Busy(Unsteady):
        def write(self, observation: Observation) -> None:
            super().write(observation)
            raise Throttled("too many requests", status=429, retry_after=17)

    sink, clock = Busy(failures=0), Clock()
    delivery = Delivery(sink, clock=clock)
    delivery.attempt(NODE)
    clock.now = 17
    delivery.attempt(NODE)
    assert sink.writes == 1
    clock.now = 18
    delivery.attempt(NODE)
    assert sink.writes == 2


def test_failures_and_recovery_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    delivery = Delivery(Unsteady(failures=3), clock=clock)
    for _ in range(5):
        delivery.attempt(NODE)
        clock.now += 60
    assert [record.message for record in caplog.records] == ["sink failed", "sink works again"]


class Slow(Sink):
    """A sink whose every write lasts until the test lets it go on."""

    name = "slow"

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.written: list[Observation] = []

    def write(self, observation: Observation) -> None:
        self.entered.release()
        assert self.go_on.acquire(timeout=30)
        self.written.append(observation)


def test_a_sink_that_hangs_gets_the_newest_afterwards_and_is_not_ready_meanwhile() -> None:
    sink, clock = Slow(), Clock()
    delivery = Delivery(sink, clock=clock)
    nodes = [observed(NodeTopology(nvlink_hidden=hidden)) for hidden in (True, False, True, False)]
    with delivery:
        delivery.offer(nodes[0])
        assert sink.entered.acquire(timeout=30)
        for node in nodes[1:]:
            delivery.offer(node)
        ready = [delivery.delivered]
        sink.go_on.release()
        assert sink.entered.acquire(timeout=30)
        ready.append(delivery.delivered)
        clock.now += 60
        ready.append(delivery.delivered)
        sink.go_on.release()
    delivery.join(30)
    assert ready == [False, True, False], "nothing written yet; a write under way; one that takes a minute"
    assert sink.written[0] is nodes[0]
    assert sink.written[-1] is nodes[3]
    assert len(sink.written) == 2


@pytest.mark.slow
def test_a_failed_sink_is_tried_again_without_a_new_reading() -> None:
    class Once(Unsteady):
        def write(self, observation: Observation) -> None:
            super().write(observation)
            done.set()

    done = threading.Event()
    delivery = Delivery(Once(failures=1))
    with delivery:
        delivery.offer(NODE)
        assert done.wait(30)
    delivery.join(30)
    assert delivery.delivered


def test_a_bug_in_a_sink_is_raised_in_the_loop() -> None:
    class Broken(Sink):
        name = "broken"

        def write(self, observation: Observation) -> None:
            del observation
            raise ZeroDivisionError("a bug")

    told = threading.Event()
    delivery = Delivery(Broken(), on_bug=told.set)
    with delivery:
        delivery.offer(NODE)
        assert told.wait(30)
    with pytest.raises(ZeroDivisionError):
        delivery.check()
    assert not delivery.delivered
