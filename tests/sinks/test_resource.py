import threading
from collections.abc import Iterator

import pytest

from nvtopo.cluster.inventory import Event
from nvtopo.errors import ApiError
from nvtopo.kube.v1alpha1_status import Status
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.standing import Standing
from nvtopo.sinks.publish.resource import ResourceSink
from tests.observations import observed


class CountingStore:
    """A store that counts what is written to it, and can be made to fail."""

    def __init__(self) -> None:
        self.written: list[tuple[str, NodeTopology]] = []
        self.failing = False
        self.standing: Standing | None = None

    def apply(self, name: str, topology: NodeTopology) -> Standing | None:
        if self.failing:
            raise ApiError("PATCH: no answer")
        self.written.append((name, topology))
        return self.standing

    def events(self, stop: threading.Event) -> Iterator[Event]:
        raise NotImplementedError

    def set_status(self, name: str, status: Status) -> None:
        raise NotImplementedError


class ManualClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sink(store: CountingStore, clock: ManualClock) -> ResourceSink:
    return ResourceSink(store, "node-a", refresh_seconds=600, clock=clock, draw=lambda: 0.5)


def test_what_did_not_change_is_not_written(sink: ResourceSink, store: CountingStore) -> None:
    sink.write(observed(NodeTopology()))
    sink.write(observed(NodeTopology()))
    assert store.written == [("node-a", NodeTopology())]


def test_a_change_is_written_at_once(sink: ResourceSink, store: CountingStore) -> None:
    sink.write(observed(NodeTopology()))
    sink.write(observed(NodeTopology(attributes={"site": {"row": 1}})))
    assert len(store.written) == 2


def test_what_could_not_be_written_is_tried_at_the_next_step(sink: ResourceSink, store: CountingStore) -> None:
    sink.write(observed(NodeTopology()))
    store.failing = True
    changed = NodeTopology(attributes={"site": {"row": 1}})
    with pytest.raises(ApiError):
        sink.write(observed(changed))
    store.failing = False
    sink.write(observed(changed))
    assert store.written[-1] == ("node-a", changed)


def test_now_and_then_the_same_is_written_again(sink: ResourceSink, store: CountingStore, clock: ManualClock) -> None:
    sink.write(observed(NodeTopology()))
    clock.now += 599
    sink.write(observed(NodeTopology()))
    assert len(store.written) == 1
    clock.now += 1
    sink.write(observed(NodeTopology()))
    assert len(store.written) == 2


def test_a_refresh_that_fails_is_tried_again(sink: ResourceSink, store: CountingStore, clock: ManualClock) -> None:
    sink.write(observed(NodeTopology()))
    clock.now += 600
    store.failing = True
    with pytest.raises(ApiError):
        sink.write(observed(NodeTopology()))
    store.failing = False
    sink.write(observed(NodeTopology()))
    assert len(store.written) == 2
