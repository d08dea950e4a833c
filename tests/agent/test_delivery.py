import threading

import pytest

from nvtopo.agent.delivery import Delivery
from nvtopo.errors import ApiError
from nvtopo.kube.refusal import Throttled
from nvtopo.model.node import NodeTopology


class Unsteady:
    """A sink that fails as often as it is told to."""

    name = "unsteady"

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.writes = 0

    def write(self, topology: NodeTopology) -> None:
        del topology
        self.writes += 1
        if self.writes <= self.failures:
            raise ApiError("the API server is away")


NODE = NodeTopology()


class Clock:
    """Monotonic seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_sink_that_works_is_written_every_time() -> None:
    sink = Unsteady(failures=0)
    delivery = Delivery(sink)
    for _ in range(3):
        delivery.attempt(NODE)
    assert (sink.writes, delivery.delivered, delivery.retry_in()) == (3, True, float("inf"))


def test_a_sink_that_failed_waits_longer_each_time_and_never_longer_than_a_minute() -> None:
    sink, clock, waits = Unsteady(failures=20), Clock(), []
    delivery = Delivery(sink, clock=clock)
    for _ in range(20):
        delivery.attempt(NODE)
        waits.append(delivery.retry_in())
        clock.now += waits[-1] * 0.99
        delivery.attempt(NODE)
        clock.now += waits[-1] * 0.02
    assert sink.writes == 20, "an attempt before its time is none"
    assert all(wait <= 60 for wait in waits)
    assert 0.5 <= waits[0] <= 1
    assert waits[-1] >= 30


def test_a_sink_that_works_again_has_forgotten_its_failures() -> None:
    clock = Clock()
    delivery = Delivery(Unsteady(failures=3), clock=clock)
    for _ in range(4):
        delivery.attempt(NODE)
        clock.now += 60
    assert (delivery.delivered, delivery.retry_in()) == (True, float("inf"))


def test_a_server_that_says_when_to_come_again_is_not_asked_before() -> None:
    class Busy:
        name = "busy"

        def write(self, topology: NodeTopology) -> None:
            del topology
            raise Throttled("too many requests", status=429, retry_after=17)

    clock = Clock()
    delivery = Delivery(Busy(), clock=clock)
    delivery.attempt(NODE)
    assert 17.5 <= delivery.retry_in() <= 18


class Slow:
    """A sink whose every write lasts until the test lets it go on."""

    name = "slow"

    def __init__(self) -> None:
        self.entered, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.written: list[NodeTopology] = []

    def write(self, topology: NodeTopology) -> None:
        self.entered.release()
        assert self.go_on.acquire(timeout=30)
        self.written.append(topology)


def test_a_sink_that_hangs_gets_the_newest_afterwards_and_is_not_ready_meanwhile() -> None:
    sink, clock = Slow(), Clock()
    delivery = Delivery(sink, clock=clock)
    nodes = [NodeTopology(nvlink_hidden=hidden) for hidden in (True, False, True, False)]
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


def test_a_failed_sink_is_tried_again_without_a_new_reading() -> None:
    class Once(Unsteady):
        def write(self, topology: NodeTopology) -> None:
            super().write(topology)
            done.set()

    done = threading.Event()
    delivery = Delivery(Once(failures=1))
    with delivery:
        delivery.offer(NODE)
        assert done.wait(30)
    delivery.join(30)
    assert delivery.delivered


def test_a_bug_in_a_sink_is_raised_in_the_loop() -> None:
    class Broken:
        name = "broken"

        def write(self, topology: NodeTopology) -> None:
            del topology
            raise ZeroDivisionError("a bug")

    told = threading.Event()
    delivery = Delivery(Broken(), on_bug=told.set)
    with delivery:
        delivery.offer(NODE)
        assert told.wait(30)
    with pytest.raises(ZeroDivisionError):
        delivery.check()
    assert not delivery.delivered
