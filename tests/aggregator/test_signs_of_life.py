"""From the agents' pods to graph, condition, racks and metrics."""

import json
import threading
from collections.abc import Iterator

import pytest

from nvtopo.aggregator import rack_metrics, status
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.signs_of_life import SignsOfLife
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Applied, Event, Inventory, Listed, Silent, fold_all
from nvtopo.cluster.silence import AgentPod, PodEvent, PodGone, PodsListed
from nvtopo.exporters import document, racks
from nvtopo.sinks.metrics.series import text
from tests.cluster import machines

HEARD = "2027-01-15T08:00:00Z"
READY = AgentPod("a", ready=True)


class Pods:
    """Two agents' pods, of which one goes when the test says so."""

    def __init__(self) -> None:
        self.killed = threading.Event()

    def events(self, stop: threading.Event) -> Iterator[PodEvent]:
        yield PodsListed({"agent-a": READY, "agent-b": READY._replace(node="b")})
        self.killed.wait(30)
        yield PodGone("agent-b")
        stop.wait()


class Store:
    def events(self, stop: threading.Event) -> Iterator[Event]:
        yield Listed({"a": machines.tray(), "b": machines.tray(number=1)})
        stop.wait()


def inventory(*events: Event) -> Inventory:
    return fold_all(Inventory(), [Listed({"a": machines.tray(), "b": machines.tray(number=1)}), *events])


@pytest.mark.slow
def test_a_killed_agent_is_stale_in_the_graph() -> None:
    pods, stop = Pods(), threading.Event()
    aggregator = Aggregator(Store())
    signs = SignsOfLife(
        pods, lambda: () if aggregator.graph is None else aggregator.graph.nodes, aggregator.silence, grace_seconds=0.1
    )
    threads = [threading.Thread(target=loop, args=(stop,)) for loop in (aggregator.run, signs.run)]
    for thread in threads:
        thread.start()
    try:
        before = aggregator.wait(0, 30)
        assert before is not None
        assert not any(node.stale for node in before.nodes.values())
        pods.killed.set()
        after = aggregator.wait(before.generation, 30)
        assert after is not None
        assert {name: node.stale for name, node in after.nodes.items()} == {"a": False, "b": True}
        assert after.nodes["b"].last_heard is not None
    finally:
        pods.killed.set()
        stop.set()
        for thread in threads:
            thread.join()


def test_everything_shows_a_stale_node() -> None:
    graph = build(inventory(Silent({"b": HEARD})))
    shown = json.loads(document.encode(document.of(graph)))["nodes"]
    assert (shown["a"]["stale"], shown["a"]["lastHeard"]) == (False, None)
    assert (shown["b"]["stale"], shown["b"]["lastHeard"]) == (True, HEARD)
    assert set(shown["b"]["health"].values()) == {"stale"}
    (condition,) = status.status_of(graph.nodes["b"]).conditions
    assert (condition.type, condition.status, condition.reason) == ("Ready", "Unknown", "Stale")
    assert HEARD in condition.message
    drawn = racks.render(document.of(graph))
    assert "~ ~ ~ ~" in drawn
    assert f"its agent was last heard at {HEARD}" in drawn
    page = text(rack_metrics.families(graph))
    assert 'nvtopo_node_stale{node="b"} 1' in page
    assert 'nvtopo_node_stale{node="a"}' not in page


def test_a_node_that_is_heard_again_is_as_before() -> None:
    before = build(inventory())
    again = build(inventory(Silent({"b": HEARD}), Silent({})))
    assert again.nodes == before.nodes


def test_the_graph_changes_when_silence_does_and_not_otherwise() -> None:
    quiet = inventory(Silent({"b": None}))
    assert fold_all(quiet, [Silent({"b": None})]) is quiet
    assert fold_all(quiet, [Silent({})]).generation > quiet.generation
    relisted = fold_all(quiet, [Applied("a", machines.tray(number=2))])
    assert dict(relisted.silent) == {"b": None}
    assert build(inventory(Silent({"gone": None}))).nodes.keys() == {"a", "b"}
