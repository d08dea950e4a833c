"""A node that makes any stage raise is unreadable, says why, and concerns no other node; a new object is judged anew.

The stages here are ours with a fault put into them, since no fault is known that a node could cause.
"""

from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace

from nvtopo.aggregator import node_documents, status
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.node_guard import NodeGuard
from nvtopo.aggregator.server import GraphServer
from nvtopo.aggregator.status import StatusWriter
from nvtopo.cluster import disputes
from nvtopo.cluster import nodes as concluding
from nvtopo.cluster.claims import Claim, Reading, Tier
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.inventory import Applied, Event, Inventory, Listed, TiersReported, fold_all
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.records import Key
from nvtopo.exporters import document
from nvtopo.model.records.node import NodeTopology
from nvtopo.runtime.guard import Failed
from tests.aggregator.running import PATIENCE, Script, get, running
from tests.calls import Calls
from tests.cluster import machines

NODES = dict(list(machines.racks(1).items())[:4])
BAD = sorted(NODES)[1]
REASON = "a bug in nvtopo: KeyError: 'bad'"


def bad(topology: NodeTopology | None) -> bool:
    return topology is not None and topology.host.product == "bad"


def with_a_bad_one() -> dict[str, NodeTopology]:
    return {**NODES, BAD: replace(NODES[BAD], host=replace(NODES[BAD].host, product="bad"))}


def faulty(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, topology: Callable[..., NodeTopology | None]
) -> None:
    """The module's function, which raises for the bad node."""
    real = getattr(module, name)

    def raises(*arguments: Any, **named: Any) -> Any:
        if bad(topology(*arguments)):
            raise KeyError("bad")
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, raises)


def settled(aggregator: Aggregator, wanted: Callable[[ClusterGraph], bool]) -> ClusterGraph:
    graph = aggregator.wait(-1, PATIENCE)
    while graph is not None and not wanted(graph):
        graph = aggregator.wait(graph.generation, PATIENCE)
    assert graph is not None
    return graph


def is_there(_: ClusterGraph) -> bool:
    return True


def refused(graph: ClusterGraph) -> dict[str, str]:
    return {name: node.problems[0].reason for name, node in graph.nodes.items() if node.topology is None}


@pytest.mark.parametrize(
    ("module", "name", "topology"),
    [
        (concluding, "readable", lambda _, topology: topology),
        (document, "entry", lambda node: node.topology),
    ],
)
def test_a_stage_of_the_graph(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, topology: Callable[..., NodeTopology | None]
) -> None:
    faulty(monkeypatch, module, name, topology)
    script = Script(Listed(with_a_bad_one()))
    with running(script) as aggregator:
        graph = settled(aggregator, is_there)
        assert refused(graph) == {BAD: REASON}
        assert status.status_of(graph.nodes[BAD]).conditions[0].reason == "Unreadable"
        script.say(Applied(BAD, NODES[BAD]))
        assert refused(settled(aggregator, lambda graph: graph.nodes[BAD].topology is not None)) == {}


def test_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(monkeypatch, status, "status_of", lambda node, *_: node.topology)
    wanted: dict[str, Any] = {}

    class Applier:
        def want(self, name: str, document: Any, _term: int) -> None:
            wanted[name] = document

    with running(Script(Listed(with_a_bad_one()))) as aggregator:
        writer = StatusWriter(aggregator, Applier(), lambda: 1)  # type: ignore[arg-type]  # the half that is used
        writer.want(settled(aggregator, is_there), ())
        assert wanted.keys() == NODES.keys() - {BAD}
        graph = settled(aggregator, lambda graph: BAD in refused(graph))
        writer.want(graph, graph.nodes)
        assert wanted[BAD].conditions[0].reason == "Unreadable"
        assert wanted[BAD].conditions[0].message == f"resource: {REASON}"


@pytest.mark.slow
def test_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    faulty(monkeypatch, node_documents, "derive", lambda topology: topology)
    with running(Script(Listed(with_a_bad_one()))) as aggregator, GraphServer(aggregator) as server:
        settled(aggregator, is_there)
        first = get(server, f"/v1/nodes/{BAD}")
        assert (first.status, first.json["derived"]) == (200, None)
        settled(aggregator, lambda graph: BAD in refused(graph))
        assert get(server, f"/v1/nodes/{BAD}").json["entry"]["problems"][0]["reason"] == REASON
        assert get(server, f"/v1/nodes/{min(NODES)}").json["derived"] is not None


def test_a_build_that_fails_is_done_without_who_makes_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes together, or one by what only all together show."""
    real = disputes.keys

    def raises(node: GraphNode | None) -> frozenset[Key]:
        if node is not None and bad(node.topology):
            raise KeyError("bad")
        return real(node)

    monkeypatch.setattr(disputes, "keys", raises)
    script = Script(Listed(NODES))
    with running(script) as aggregator:
        settled(aggregator, is_there)
        script.say(Applied(BAD, with_a_bad_one()[BAD]), Applied("node-new", NODES[BAD]))
        graph = settled(aggregator, lambda graph: "node-new" in graph.nodes)
        assert refused(settled(aggregator, lambda graph: BAD in refused(graph))) == {BAD: REASON}
        assert graph.nodes["node-new"].topology is not None


def test_while_no_graph_can_be_built_the_last_one_stays_and_its_age_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    aggregator = Aggregator(Script(), clock=lambda: now[0])
    aggregator._backlog.put(Listed(NODES))
    aggregator._fold(*aggregator._backlog.take())
    before = aggregator.graph
    assert aggregator.oldest_seconds == 0.0

    def raises(*_: Any) -> Any:
        raise KeyError("bad")

    with monkeypatch.context() as broken:
        broken.setattr(disputes, "moved", raises)
        aggregator._backlog.put(Applied("node-new", NODES[BAD]))
        aggregator._fold(*aggregator._backlog.take())
        now[0] += 70
        assert aggregator.graph is before
        assert aggregator.oldest_seconds == 70.0
    aggregator._backlog.put(Applied("node-newer", NODES[BAD]))
    aggregator._fold(*aggregator._backlog.take())
    assert aggregator.oldest_seconds == 0.0
    assert aggregator.graph is not None
    assert {"node-new", "node-newer"} <= aggregator.graph.nodes.keys()


def test_a_source_that_no_graph_can_be_built_with_is_refused_and_no_node() -> None:
    odd = Reading(claims=(Claim("a", cast("Tier", "no-tier"), "x", "odd"),))
    good = Reading(claims=(Claim("a", "zone", "hall-1", "file"),))
    guard = NodeGuard(lambda _: None)
    events: list[Event] = [Listed({"a": machines.tray()}), TiersReported("s", {"bad": odd, "good": good})]
    built = guard.build(fold_all(Inventory(), events), None)
    assert not isinstance(built, Failed)
    node = built[1].nodes["a"]
    assert (node.gpus, node.tiers.get("zone")) == (4, "hall-1")
    assert [one.finding.subject for one in built[1].drift if one.kind == "source"] == ["bad"]


def test_what_is_known_of_a_list_before_it_is_whole_is_concluded_once() -> None:
    source = Script()
    with running(source) as aggregator, Calls(concluding.readable) as early:
        aggregator.coming(dict(list(NODES.items())[:2]))
        aggregator.coming(dict(list(NODES.items())[2:]))
    assert early.count == len(NODES)
    with Calls(concluding.readable) as late:
        built = aggregator.guard.build(fold_all(Inventory(), [Listed(NODES)]), None)
    assert late.count == 0
    assert not isinstance(built, Failed)
    assert dict(built[1].nodes) == dict(machines.graph(NODES).nodes)


def test_what_was_concluded_early_serves_its_own_object_alone_and_the_first_list_alone() -> None:
    source = Script()
    with running(source) as aggregator:
        aggregator.coming({name: replace(node, gpus=()) for name, node in NODES.items()})
        source.say(Listed(NODES))
        assert settled(aggregator, is_there).nodes == machines.graph(NODES).nodes
        with Calls(concluding.readable) as again:
            aggregator.coming(NODES)
    assert again.count == 0
    assert aggregator.guard._ready == {}
