"""The thread that looks what drifts: from the store to the graph, the status and the metrics page."""

import threading
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from nvtopo.aggregator.drift_watch import DriftWatch
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.status import status_of
from nvtopo.cluster.accepted import Acceptance
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Accepted, Inventory, fold
from nvtopo.exporters import document
from nvtopo.kube.memory import MemoryStore
from nvtopo.model.records.expected import Expectation, VersionExpectation
from nvtopo.model.records.standing import Standing
from nvtopo.sinks.metrics.series import text
from tests.cluster import fleets, machines

_AT = "2026-11-28T12:00:00Z"

pytestmark = pytest.mark.slow


def until(aggregator: Aggregator, holds: Callable[[ClusterGraph], bool]) -> ClusterGraph:
    generation = -1
    while (graph := aggregator.wait(generation, timeout=20)) is not None:
        if holds(graph):
            return graph
        generation = graph.generation
    raise AssertionError("no such graph in time")


def test_a_node_that_differs_is_in_graph_status_and_metrics_until_it_is_accepted() -> None:
    store, stop = MemoryStore(), threading.Event()
    for number in range(4):
        store.apply(f"n{number}", fleets.machine(number=number, driver="580.65.06" if number else "590.1"))
    aggregator = Aggregator(store)
    watch = DriftWatch(aggregator)
    threads = [threading.Thread(target=run, args=(stop,)) for run in (aggregator.run, watch.run)]
    for thread in threads:
        thread.start()
    try:
        graph = until(aggregator, lambda graph: bool(graph.drift))
        assert [one.nodes for one in graph.drift] == [("n0",)]
        drift = status_of(graph.nodes["n0"]).conditions[1]
        assert (drift.type, drift.status, drift.reason) == ("Drift", "True", "Differs")
        assert "driver version 580.65.06 → 590.1" in drift.message
        assert 'nvtopo_graph_drifting_nodes{kind="host",fact="driverVersion"} 1' in text(watch.families())
        assert len(status_of(graph.nodes["n1"]).conditions) == 1
        expect = Expectation(versions=VersionExpectation(driver="590.1"))
        aggregator.accepted({"n0": Acceptance(expect=expect, at=_AT, reason="canary")})
        graph = until(aggregator, lambda graph: graph.nodes["n0"].accepted is not None)
        assert status_of(graph.nodes["n0"]).expected == Standing(accepted=expect, reason="canary")
        assert document.of(graph).nodes["n0"].accepted is not None
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(("drifted", "at_once"), [(["n0"], True), (["n1"], False), ([], False), (None, True)])
def test_what_differs_when_a_replica_begins_counts_at_once_only_where_it_is_known(
    drifted: list[str] | None, at_once: bool
) -> None:
    now = [0.0]
    watch = DriftWatch(Aggregator(MemoryStore()), clock=lambda: now[0], drifted=lambda: drifted)
    graph = machines.graph({f"n{n}": fleets.machine(number=n, driver="1" if n else "2") for n in range(4)})
    watch.look(graph, graph.nodes)
    shown = 'nvtopo_graph_drifting_nodes{kind="host",fact="driverVersion"} 1'
    assert (shown in text(watch.families())) == at_once
    now[0] = 60
    watch.look(graph, ())
    assert shown in text(watch.families())


def test_only_what_changed_is_told_and_what_is_accepted_is_settled() -> None:
    now, told = [0.0], list[frozenset[NodeFinding]]()

    class Told(Aggregator):
        def drifted(self, findings: frozenset[NodeFinding]) -> None:
            told.append(findings)

    aggregator = Told(MemoryStore())
    away: list[str] = []
    watch = DriftWatch(aggregator, lambda: away, clock=lambda: now[0])
    nodes = {f"n{number}": fleets.machine(number=number) for number in range(4)}
    nodes["n0"] = replace(nodes["n0"], host=replace(nodes["n0"].host, driver_version="590.1"))
    graph = machines.graph(nodes)
    watch.look(graph, graph.nodes)
    watch.look(graph, graph.nodes)
    assert [[one.nodes for one in findings] for findings in told] == [[("n0",)]]
    away.append("n0")
    watch.look(graph, ())
    assert told[1:] == [frozenset()]
    away.clear()
    watch.look(graph, ())
    now[0] = 3600
    watch.look(graph, ())
    assert len(told[-1]) == 1
    expect = Expectation(versions=VersionExpectation(driver="590.1"))
    inventory = fold(graph.standing.inventory or Inventory(), Accepted({"n0": Acceptance(expect=expect, at=_AT)}))
    graph = build(inventory, graph)
    assert graph.delta.nodes == {"n0"}
    watch.look(graph, ["n0"])
    now[0] = 7200
    watch.look(graph, ())
    assert told[3:] == [frozenset()]
