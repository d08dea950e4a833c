"""The trail of each node: from graph to status and API, and back from the API server."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest
from msgspec.structs import replace

from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.status import StatusWriter
from nvtopo.aggregator.trail import Trail
from nvtopo.cluster.events import Recorded
from nvtopo.cluster.history import Entry, History, Limits
from nvtopo.cluster.inventory import Applied, Listed
from nvtopo.cluster.nodes import readable, unreadable
from nvtopo.cluster.records import EMPTY
from nvtopo.exporters import history_document
from nvtopo.kube.applier import Applier
from nvtopo.kube.memory import MemoryStore
from nvtopo.kube.v1alpha1_status import Status
from nvtopo.model.records.node import NodeTopology
from tests.aggregator.running import PATIENCE, Script, get, running
from tests.cluster import fleets, machines

_OLD = Entry(at="2026-11-28T10:00:00Z", kind="host", subject="host", path="kernel", before='"a"', after='"b"')
_NOON = 1_795_867_200.0
"""2026-11-28 12:00 UTC."""


def upgraded(node: NodeTopology) -> NodeTopology:
    return replace(node, host=replace(node.host, driver_version="590.1"))


def paths(trail: Trail, name: str = "n") -> list[tuple[str, object, object]]:
    return [(one.path, one.change.before, one.change.after) for one in trail.of(name)]


def test_the_first_sight_is_no_change_and_the_next_is() -> None:
    trail = Trail(clock=lambda: _NOON)
    node = fleets.machine()
    trail.see("n", readable("n", node))
    assert trail.of("n") == ()
    trail.see("n", readable("n", upgraded(node)))
    assert paths(trail) == [("driverVersion", fleets.DRIVER, "590.1")]
    assert trail.of("n")[0].at == "2026-11-28T12:00:00Z"


def test_a_node_that_can_not_be_read_for_a_while_is_compared_with_what_it_was() -> None:
    trail, node = Trail(clock=lambda: _NOON), fleets.machine()
    for one in (readable("n", node), unreadable("n", "torn"), readable("n", upgraded(node))):
        trail.see("n", one)
    assert [path for path, _, _ in paths(trail) if path != "ready"] == ["driverVersion"]


def test_a_node_that_went_and_came_back_keeps_its_trail() -> None:
    trail, node = Trail(clock=lambda: _NOON), fleets.machine()
    for one in (readable("n", node), None, None, readable("n", node)):
        trail.see("n", one)
    assert paths(trail) == [("present", True, False), ("present", False, True)]


def test_of_nodes_that_are_gone_a_bounded_number_is_known() -> None:
    trail, node = Trail(clock=lambda: _NOON), readable("n", fleets.machine())
    for number in range(1200):
        trail.see(f"n{number}", node)
        trail.see(f"n{number}", None)
    assert len(trail.of_all()) == 1000


def test_what_the_api_server_keeps_comes_first_and_the_limits_hold() -> None:
    trail, node = Trail(Limits(entries=2), clock=lambda: _NOON), fleets.machine()
    trail.remember({"n": (_OLD,)})
    trail.see("n", readable("n", node))
    trail.see("n", readable("n", upgraded(node)))
    assert [path for path, _, _ in paths(trail)] == ["kernel", "driverVersion"]
    trail.see("n", readable("n", node))
    assert [path for path, _, _ in paths(trail)] == ["driverVersion", "driverVersion"]


def test_two_replicas_write_the_same_trail() -> None:
    one, other, node = Trail(clock=lambda: _NOON), Trail(clock=lambda: _NOON + 7), fleets.machine()
    for trail in (one, other):
        trail.see("n", readable("n", node))
        trail.see("n", readable("n", upgraded(node)))
    assert one.of("n") != other.of("n")
    other.remember({"n": one.of("n")})
    assert other.of("n") == one.of("n")


def test_what_the_leader_wrote_before_this_replica_came_to_it_is_one_entry_and_a_repetition_another() -> None:
    now = [_NOON + 7]
    one, other, node = Trail(clock=lambda: _NOON), Trail(clock=lambda: now[0]), fleets.machine()
    for trail in (one, other):
        trail.see("n", readable("n", node))
    one.see("n", readable("n", upgraded(node)))
    for _ in range(2):
        other.remember({"n": one.of("n")})
    other.see("n", readable("n", upgraded(node)))
    assert other.of("n") == one.of("n")
    now[0] += 5
    other.see("n", readable("n", node))
    other.see("n", readable("n", upgraded(node)))
    assert len(paths(other)) == 3, "it happened again"


def test_the_leader_writes_the_trail_with_the_status() -> None:
    aggregator = Aggregator(MemoryStore())
    applier: Applier[Status] = Applier("status", MemoryStore().set_status, lambda: 1)
    writer = StatusWriter(aggregator, applier, lambda: 1)
    node = fleets.machine()
    for one in (node, upgraded(node)):
        writer.want(machines.graph({"n": one}), ["n"])
    write = applier._queue.next(0, 1)
    assert write is not None
    assert [entry.path for entry in write.document.history] == ["driverVersion"]


@pytest.fixture(name="live")
def _live() -> Iterator[tuple[Script, Aggregator, GraphServer]]:
    script = Script(Listed(machines.racks(1, 2), histories={"r001-t00": (_OLD,)}))
    with running(script, trail=Trail(clock=lambda: _NOON)) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        with GraphServer(aggregator) as server:
            yield script, aggregator, server


@pytest.mark.slow
def test_the_api_answers_for_a_node_a_rack_and_all(live: tuple[Script, Aggregator, GraphServer]) -> None:
    script, aggregator, server = live
    assert aggregator.graph is not None
    rack = next(domain for domain in aggregator.graph.domains.values() if domain.tier == "nvlinkDomain")
    for query in ("?node=r001-t00", f"?rack={rack.id}", f"?rack={rack.name}", ""):
        got = get(server, f"/v1/history{query}")
        (one,) = history_document.decode(got.body).entries
        assert (one.node, one.at, one.text) == ("r001-t00", _OLD.at, "host: kernel a → b")
    assert history_document.decode(get(server, "/v1/history?node=r001-t01").body).entries == ()
    assert get(server, "/v1/history?node=nobody").status == HTTPStatus.NOT_FOUND
    generation = aggregator.graph.generation
    other = replace(_OLD, at="2026-11-28T11:00:00Z", before='"b"', after='"c"')
    script.say(Recorded("r001-t01", EMPTY, (other,)), Applied("x", machines.hgx()))
    after = aggregator.wait(generation, PATIENCE)
    assert after is not None
    assert after.generation == generation + 1, "a trail is no news of the graph"
    assert aggregator.trail.of("r001-t01") == (other,)


@pytest.mark.slow
def test_a_document_is_made_once_for_each_change_of_a_trail(
    live: tuple[Script, Aggregator, GraphServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a reader who asks again and again takes no time from others."""
    _, aggregator, server = live
    made, of = list[int](), history_document.of

    def counted(trails: Mapping[str, History]) -> history_document.HistoryDocument:
        made.append(len(trails))
        return of(trails)

    monkeypatch.setattr(history_document, "of", counted)
    with ThreadPoolExecutor(4) as threads:
        bodies = {got.body for got in threads.map(lambda _: get(server, "/v1/history"), range(20))}
    assert (len(bodies), made) == (1, [1])
    for number in range(12):
        get(server, f"/v1/history?node=r001-t{number % 2:02}")
    assert len(made) == 3
    aggregator.trail.remember({"r001-t01": (_OLD,)})
    assert len(history_document.decode(get(server, "/v1/history").body).entries) == 2
    assert made[3:] == [2]
