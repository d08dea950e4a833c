import queue
import threading
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from nvtopo.agent.expectations import AgentExpectations
from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.status import StatusWriter, status_of
from nvtopo.cluster.claims import Claim, Reading
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, fold
from nvtopo.cluster.nodes import GraphNode, readable, unreadable
from nvtopo.cluster.records import EMPTY
from nvtopo.kube.applier import Applier
from nvtopo.kube.apply_queue import Outcome
from nvtopo.kube.memory import MemoryStore
from nvtopo.kube.v1alpha1_status import Status
from nvtopo.model.conclusions import health, health_words
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.node import Host, NodeTopology
from nvtopo.model.records.standing import Standing
from nvtopo.sinks.publish.resource import ResourceSink
from tests.cluster import machines
from tests.observations import observed


def condition(node: GraphNode) -> tuple[str, str]:
    (one,) = status_of(node).conditions
    return one.status, one.reason


def test_a_healthy_tray_is_ready_and_in_its_domain() -> None:
    node = machines.graph({"t": machines.tray()}).nodes["t"]
    assert condition(node) == ("True", "AllWell")
    assert status_of(node).domain == machines.domain_id(1)


def test_what_is_not_known_is_not_false() -> None:
    assert condition(unreadable("t", "broken")) == ("Unknown", "Unreadable")
    assert condition(readable("t", NodeTopology(nvlink_hidden=True))) == ("Unknown", "NotKnown")


def test_a_node_without_gpus_is_no_gpu_node() -> None:
    assert condition(readable("t", NodeTopology())) == ("Unknown", "NoGpu")


@pytest.fixture
def applier() -> Applier[Status]:
    """Without its threads."""
    return Applier("status", MemoryStore().set_status, lambda: 1)


def asked_of(applier: Applier[Status]) -> Iterator[str]:
    """Whose status would be written now, each of them taken."""
    while (write := applier._queue.next(0, 1)) is not None:
        applier._queue.done(write, Outcome.WRITTEN, 0)
        yield write.name


def follow(before: ClusterGraph | None, nodes: dict[str, NodeTopology]) -> ClusterGraph:
    inventory = Inventory() if before is None or before.standing.inventory is None else before.standing.inventory
    return build(fold(inventory, Listed(nodes)), before)


def test_only_what_changed_is_written(applier: Applier[Status]) -> None:
    writer = StatusWriter(Aggregator(MemoryStore()), applier, lambda: 1)
    first = follow(None, {"a": machines.tray(), "b": machines.tray(number=1)})
    writer.want(first, first.delta.nodes)
    assert sorted(asked_of(applier)) == ["a", "b"]
    writer.want(first, ())
    writer.want(first, ["a"])
    assert list(asked_of(applier)) == [], "built anew, and concluded the same"
    second = follow(first, {"a": machines.tray(), "b": NodeTopology()})
    writer.want(second, second.delta.nodes)
    assert list(asked_of(applier)) == ["b"]


def test_node_that_went_and_came_back_is_written_again(applier: Applier[Status]) -> None:
    writer = StatusWriter(Aggregator(MemoryStore()), applier, lambda: 1)
    graph = None
    for nodes in ({"a": machines.tray()}, {}, {"a": machines.tray()}):
        graph = follow(graph, nodes)
        writer.want(graph, graph.delta.nodes)
        assert list(asked_of(applier)) == list(nodes)


def test_who_does_not_lead_concludes_nothing_and_who_begins_to_lead_concludes_all(applier: Applier[Status]) -> None:
    term: list[int | None] = [None]
    writer = StatusWriter(Aggregator(MemoryStore()), applier, lambda: term[0])
    graph = follow(None, {"a": machines.tray(), "b": machines.tray(number=1)})
    writer.want(graph, graph.delta.nodes)
    assert applier.figures.waiting == 0
    term[0] = 1
    writer.want(graph, ())
    assert applier.figures.waiting == 2


def test_a_node_that_only_others_name_has_no_status(applier: Applier[Status]) -> None:
    writer = StatusWriter(Aggregator(MemoryStore()), applier, lambda: 1)
    graph = build(Inventory(), None, {"x": Reading((Claim("quiet", "leaf", "l1", "lldp"),))})
    writer.want(graph, graph.delta.nodes)
    assert applier.figures.waiting == 0


@pytest.mark.slow
def test_status_follows_the_graph_while_this_replica_leads() -> None:
    store, stop, term = MemoryStore(), threading.Event(), [1]
    store.apply("a", machines.tray())
    written: queue.SimpleQueue[str] = queue.SimpleQueue()

    def write(name: str, status: Status) -> None:
        store.set_status(name, status)
        written.put(name)

    applier = Applier("status", write, lambda: term[0])
    aggregator = Aggregator(store)
    writer = StatusWriter(aggregator, applier, lambda: term[0])
    threads = [threading.Thread(target=run, args=(stop,)) for run in (aggregator.run, writer.run, applier.run)]
    for thread in threads:
        thread.start()
    try:
        assert written.get(timeout=10) == "a"
        store.apply("b", machines.tray())
        assert written.get(timeout=10) == "b"
        assert store.statuses["b"].domain == machines.domain_id(1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_what_a_fleet_has_reaches_the_agent_of_the_machine_that_has_less() -> None:
    store = MemoryStore()
    whole = replace(machines.tray(), host=Host(product="Acme 9000"))
    less = replace(whole, gpus=whole.gpus[:3])
    fleet = {"a": whole, "b": whole, "c": whole, "less": less}
    applier = Applier("status", store.set_status, lambda: 1)
    writer = StatusWriter(Aggregator(store), applier, lambda: 1)
    sink = ResourceSink(store, "less")
    expectations = AgentExpectations(standing=lambda: sink.standing)
    assert health.of(replace(less, expected=expectations.of(less).expected)).ready is True
    for name, topology in fleet.items():
        store.apply(name, topology)
        graph = machines.graph({one: fleet[one] for one in fleet if one <= name})
        writer.want(graph, [name])
    while (write := applier._queue.next(0, 1)) is not None:
        store.set_status(write.name, write.document)
        applier._queue.done(write, Outcome.WRITTEN, 0)
    assert store.statuses["a"].expected == Standing(learned=Expectation(gpus=4, nvlinks_per_gpu=18))
    sink.write(observed(less))
    found = health.of(replace(less, expected=expectations.of(less).expected))
    assert [health_words.sentence(reason) for reason in found.reasons] == ["this node has 3 of 4 GPUs"]
    assert found.ready is False


def test_who_begins_to_lead_has_learned_before() -> None:
    term: list[int | None] = [None]
    applier: Applier[Status] = Applier("status", MemoryStore().set_status, lambda: 1)
    writer = StatusWriter(Aggregator(MemoryStore()), applier, lambda: term[0])
    graph = machines.graph(dict.fromkeys("abc", replace(machines.tray(), host=Host(product="Acme 9000"))))
    writer.want(graph, graph.delta.nodes)
    term[0] = 1
    writer.want(graph, ())
    write = applier._queue.next(0, 1)
    assert write is not None
    assert write.document.expected == Standing(learned=Expectation(gpus=4, nvlinks_per_gpu=18))


def test_who_begins_to_lead_writes_nothing_that_is_there_and_what_came_in_between_later(
    applier: Applier[Status],
) -> None:
    there: dict[str, Status] = {}
    now = [0.0]
    graph = follow(None, {"a": machines.tray(), "b": machines.tray(number=1)})
    for name in ("a", "b"):
        there[name] = status_of(graph.nodes[name], record=graph.records.get(name, EMPTY))
    writer = StatusWriter(
        Aggregator(MemoryStore()),
        applier,
        lambda: 1,
        has=lambda name, status: there.get(name) == status,
        clock=lambda: now[0],
    )
    writer.want(graph, graph.delta.nodes)
    assert list(asked_of(applier)) == []
    there["b"] = Status()  # the last word of the leader before, heard late
    now[0] = 11.0
    writer.want(graph, ())
    assert list(asked_of(applier)) == ["b"]
    writer.want(graph, graph.nodes)
    assert list(asked_of(applier)) == []
