from nvtopo.agent.delivery import Delivery
from nvtopo.errors import ApiError
from nvtopo.model.assemble import assemble
from nvtopo.model.derive import derive
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot
from nvtopo.sinks.metrics import Observation


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


def observation() -> Observation:
    snapshot = Snapshot(capture=1)
    node = assemble(snapshot)
    return Observation(snapshot, node, derive(node), seconds=0.0, at_seconds=0.0)


def test_a_sink_that_works_is_written_every_time() -> None:
    sink = Unsteady(failures=0)
    delivery = Delivery(sink)
    for now in (0.0, 0.1, 0.2):
        delivery.attempt(observation(), now)
    assert (sink.writes, delivery.delivered, delivery.retry_in()) == (3, True, float("inf"))


def test_a_sink_that_failed_waits_longer_each_time_and_never_longer_than_a_minute() -> None:
    sink = Unsteady(failures=20)
    delivery, now, waits = Delivery(sink), 0.0, []
    for _ in range(20):
        delivery.attempt(observation(), now)
        waits.append(delivery.retry_in())
        delivery.attempt(observation(), now + delivery.retry_in() * 0.99)
        now += delivery.retry_in()
    assert sink.writes == 20, "an attempt before its time is none"
    assert all(wait <= 60 for wait in waits)
    assert 0.5 <= waits[0] <= 1
    assert waits[-1] >= 30


def test_a_sink_that_works_again_has_forgotten_its_failures() -> None:
    sink = Unsteady(failures=3)
    delivery, now = Delivery(sink), 0.0
    for _ in range(4):
        delivery.attempt(observation(), now)
        now += 60
    assert (delivery.delivered, delivery.retry_in()) == (True, float("inf"))
