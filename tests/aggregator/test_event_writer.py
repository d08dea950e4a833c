"""Events of drift as an API server gets them: only from the replica that leads, and held to a rate."""

from collections.abc import Iterator

import pytest

from nvtopo.aggregator.drift_watch import DriftWatch
from nvtopo.aggregator.event_writer import EventWriter
from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.drift import Timing
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.kube.event_queue import Limits
from nvtopo.kube.memory import MemoryStore
from nvtopo.model.changes.node_events import NodeEvent
from nvtopo.sinks.metrics.series import text
from tests.cluster import fleets, machines
from tests.kube.fake_api_server import FakeApiServer

pytestmark = pytest.mark.slow


class Term:
    """The term of leadership, as the test sets it."""

    def __init__(self) -> None:
        self.number: int | None = 1

    def __call__(self) -> int | None:
        return self.number


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        yield fake


@pytest.fixture
def term() -> Term:
    return Term()


@pytest.fixture
def writer(server: FakeApiServer, term: Term) -> Iterator[EventWriter]:
    with Client(Connection(host=server.url)) as client:
        yield EventWriter(client, "replica-1", term, limits=Limits(waiting=8, burst=3, refill_seconds=3600.0))


def event(number: int = 0) -> NodeEvent:
    return NodeEvent(type="Normal", reason="Drifted", note=f"driver version {number}")


def told(server: FakeApiServer) -> list[tuple[str, str]]:
    return [(one["regarding"]["name"], one["note"]) for one in server.events.values()]


def test_an_event_is_about_the_node_in_the_aggregators_name(writer: EventWriter, server: FakeApiServer) -> None:
    writer.note("n1", event())
    assert writer.step() == 0.0
    (made,) = server.events.values()
    assert made["regarding"] == {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}
    assert (made["reportingController"], made["reportingInstance"]) == ("nvtopo.io/aggregator", "replica-1")
    assert (made["action"], made["related"]["name"]) == ("Compare", "n1")
    assert server.requests == ["event"], "no Node is read for it"


def test_who_does_not_lead_tells_nothing(writer: EventWriter, server: FakeApiServer, term: Term) -> None:
    writer.note("n1", event())
    term.number = None
    writer.note("n2", event())
    writer.step()
    term.number = 2
    writer.step()
    assert (writer.waiting, server.requests) == (0, [])


def test_one_thing_on_many_nodes_is_held_to_a_rate_and_what_there_is_no_room_for_is_counted(
    writer: EventWriter, server: FakeApiServer
) -> None:
    for number in range(10):
        writer.note(f"n{number}", event())
    assert "nvtopo_aggregator_events_waiting 10" in text(writer.families())
    writer.step()
    writer.step()
    assert [node for node, _ in told(server)] == ["n0", "n1", "n2"]
    assert writer.waiting == 7


def test_a_refusal_waits_longer_each_time_and_loses_nothing(
    writer: EventWriter, server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.refuse("event", 503, times=2)
    writer.note("n1", event())
    pauses = [writer.step(), writer.step()]
    assert all(pauses)
    assert writer.step() == 0.0
    assert told(server) == [("n1", "driver version 0")]
    assert [record.message for record in caplog.records] == ["cannot send Events, trying on"]


def test_what_drifts_at_the_first_look_is_no_news_and_what_begins_or_ends_later_is() -> None:
    now, noted = [0.0], list[tuple[str, str]]()
    watch = DriftWatch(
        Aggregator(MemoryStore()),
        timing=Timing(debounce_seconds=60, grace_seconds=0),
        clock=lambda: now[0],
        note=lambda node, event: noted.append((node, event.reason)),
    )
    good = {f"n{number}": fleets.machine(number=number) for number in range(5)}
    nodes = good | {"n0": fleets.machine(number=0, driver="590.1")}
    first = machines.graph(nodes)
    watch.look(first, first.nodes)
    assert noted == []
    graph = machines.graph(nodes | {"n1": fleets.machine(number=1, driver="590.1")})
    watch.look(graph, ["n1"])
    assert noted == [], "it has not lasted"
    now[0] = 61
    watch.look(graph, ())
    assert noted == [("n1", "Drifted")]
    graph = machines.graph(good)
    watch.look(graph, ["n0", "n1"])
    now[0] = 122
    watch.look(graph, ())
    assert noted[1:] == [("n0", "DriftEnded"), ("n1", "DriftEnded")]
