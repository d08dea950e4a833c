"""Events as an API server gets them: what is one, what is a series, what is held back, what is dropped and said so."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nvtopo.errors import ApiError
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.sinks.publish.events import EventSink
from tests.kube.fake_api_server import FakeApiServer
from tests.model.test_node_events import AFTER, HEALTHY_NODE
from tests.observations import observed

DOWN = AFTER["a link goes down"]


class Clock:
    """Seconds that a test moves on, for spacing and for dates."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        """Each moment has its own microsecond."""
        self.seconds += 1e-6
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        fake.nodes["node-a"] = "uid-1"
        yield fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sink(server: FakeApiServer, clock: Clock) -> Iterator[EventSink]:
    with Client(Connection(host=server.url)) as client:
        yield EventSink(client, "node-a", clock=clock, now=clock.now)


def see(sink: EventSink, before: NodeTopology, after: NodeTopology) -> None:
    sink.see(observed(after, before))


def flap(sink: EventSink) -> None:
    see(sink, HEALTHY_NODE, DOWN)
    see(sink, DOWN, HEALTHY_NODE)


def write(sink: EventSink) -> None:
    sink.write(observed(NodeTopology()))


def told(server: FakeApiServer) -> list[tuple[str, int]]:
    """Reason and count of each Event."""
    return [(one["reason"], one.get("series", {}).get("count", 1)) for one in server.events.values()]


def xid(number: int, gpu: int = 0) -> NvmlEvent:
    return NvmlEvent(kind="xid", gpu=gpu, uuid=f"GPU-{gpu}", xid=number)


def test_a_change_is_one_event_about_the_node(sink: EventSink, server: FakeApiServer) -> None:
    see(sink, HEALTHY_NODE, DOWN)
    write(sink)
    (event,) = server.events.values()
    assert event["regarding"] == {"apiVersion": "v1", "kind": "Node", "name": "node-a", "uid": "uid-1"}
    assert (event["type"], event["reason"]) == ("Warning", "NVLinkDown")
    assert event["metadata"]["namespace"] == "default"
    assert event["eventTime"] == "2026-01-01T00:00:00.000001Z"
    assert "series" not in event
    assert sink.waiting == 0


def test_nothing_new_asks_nothing_of_the_server(sink: EventSink, server: FakeApiServer) -> None:
    write(sink)
    see(sink, HEALTHY_NODE, HEALTHY_NODE)
    write(sink)
    assert server.requests == []


@pytest.mark.slow
def test_a_link_that_flaps_all_night_is_two_events_that_count(
    sink: EventSink, server: FakeApiServer, clock: Clock
) -> None:
    for _ in range(1000):
        flap(sink)
        write(sink)
        clock.seconds += 1
    clock.seconds += 31
    write(sink)
    assert told(server) == [("NVLinkDown", 1000), ("NVLinkUp", 1000)]
    assert server.requests.count("event") == 2
    assert server.requests.count("again") <= 2 * (1000 / 30 + 2)


def test_what_happened_long_ago_is_another_event(sink: EventSink, server: FakeApiServer, clock: Clock) -> None:
    for _ in range(2):
        see(sink, HEALTHY_NODE, DOWN)
        write(sink)
        clock.seconds += 3600
    assert told(server) == [("NVLinkDown", 1)] * 2


def test_while_the_server_is_away_all_is_kept_and_counted(sink: EventSink, server: FakeApiServer, clock: Clock) -> None:
    server.refuse("event", 503, times=3)
    for _ in range(3):
        flap(sink)
        with pytest.raises(ApiError):
            write(sink)
        clock.seconds += 60
    write(sink)
    assert told(server) == [("NVLinkDown", 3), ("NVLinkUp", 3)]
    first = next(iter(server.events.values()))
    assert first["eventTime"] < first["series"]["lastObservedTime"]


def test_an_event_that_was_taken_but_not_answered_is_not_told_twice(
    sink: EventSink, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.on_event(xid(79))
    create = Client.create

    def unanswered(self: Client, path: str, document: bytes) -> Any:
        create(self, path, document)
        raise ApiError("no answer", status=0)

    with monkeypatch.context() as patch:
        patch.setattr(Client, "create", unanswered)
        with pytest.raises(ApiError):
            write(sink)
    write(sink)
    assert told(server) == [("XidError", 1)]
    assert sink.waiting == 0


def test_an_event_whose_time_was_up_is_begun_anew(sink: EventSink, server: FakeApiServer, clock: Clock) -> None:
    sink.on_event(xid(79))
    write(sink)
    server.events.clear()
    clock.seconds += 31
    sink.on_event(xid(79))
    write(sink)
    assert told(server) == [("XidError", 1)]


@pytest.mark.slow
def test_a_machine_in_turmoil_is_held_to_a_rate_and_told_in_the_end(
    sink: EventSink, server: FakeApiServer, clock: Clock
) -> None:
    for number in range(40):
        sink.on_event(xid(1000 + number))
    write(sink)
    assert len(server.events) == 25
    for _ in range(20):
        clock.seconds += 12
        write(sink)
    assert len(server.events) == 40
    assert sink.waiting == 0


@pytest.mark.slow
def test_what_there_is_no_room_for_is_dropped_and_said(sink: EventSink, server: FakeApiServer, clock: Clock) -> None:
    for number in range(100):
        sink.on_event(xid(1000 + number))
    assert sink.waiting == 100
    for _ in range(200):
        write(sink)
        clock.seconds += 12
    (dropped,) = [one for one in server.events.values() if one["reason"] == "EventsDropped"]
    assert dropped["note"].startswith("36 more happened")
    assert len(server.events) == 64 + 1
    assert sink.waiting == 0
