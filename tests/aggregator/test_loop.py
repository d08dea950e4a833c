import threading
from collections.abc import Iterator

import pytest

from nvtopo.aggregator.loop import Aggregator
from nvtopo.cluster.inventory import Applied, Deleted, Event, Listed, Unreadable
from nvtopo.kube.memory import MemoryStore
from tests.aggregator.running import PATIENCE, Script, running
from tests.cluster import machines


def test_the_first_list_makes_the_graph() -> None:
    with running(Script(Listed(machines.racks(2)))) as aggregator:
        graph = aggregator.wait(0, PATIENCE)
    assert graph is not None
    assert (len(graph.nodes), len(graph.domains), graph.generation) == (36, 4, 1)


def test_an_empty_list_is_a_graph_too() -> None:
    with running(Script(Listed({}))) as aggregator:
        graph = aggregator.wait(-1, PATIENCE)
    assert graph is not None
    assert not graph.nodes


def test_there_is_no_graph_before_the_first_list() -> None:
    script = Script(Applied("a", machines.tray()))
    with running(script) as aggregator:
        assert aggregator.wait(0, 0.1) is None
        script.say(Listed({"b": machines.tray(number=1)}))
        graph = aggregator.wait(0, PATIENCE)
    assert graph is not None
    assert list(graph.nodes) == ["b"]


def test_each_kind_of_event_arrives() -> None:
    script = Script(Listed({"a": machines.tray(), "b": machines.tray(number=1)}))
    with running(script) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        script.say(Deleted("a"), Unreadable("b", "torn"), Applied("c", machines.tray(number=2)))
        graph = aggregator.wait(3, PATIENCE)
    assert graph is not None
    assert {name: node.gpus for name, node in graph.nodes.items()} == {"b": None, "c": 4}


def test_an_event_that_changes_nothing_makes_no_graph() -> None:
    script = Script(Listed({"a": machines.tray()}))
    with running(script) as aggregator:
        before = aggregator.wait(0, PATIENCE)
        script.say(Applied("a", machines.tray()), Listed({"a": machines.tray()}), Applied("b", machines.tray(number=1)))
        after = aggregator.wait(1, PATIENCE)
    assert before is not None
    assert after is not None
    assert after.generation == 2
    assert after.nodes["a"] is before.nodes["a"]


def test_a_flood_of_events_is_few_graphs() -> None:
    nodes = machines.racks(20)
    published: list[int] = []
    script = Script(Listed({}))
    with running(script, pause_seconds=0.2) as aggregator:
        assert aggregator.wait(-1, PATIENCE) is not None
        aggregator.listen(lambda: published.append(len(aggregator.graph.nodes) if aggregator.graph else 0))
        for _ in range(5):
            script.say(*(Applied(name, topology) for name, topology in nodes.items()))
        graph = aggregator.wait(len(nodes) - 1, PATIENCE)
    assert graph is not None
    assert len(graph.nodes) == len(nodes)
    assert len(published) <= 5


def test_the_first_change_does_not_wait_for_the_pause() -> None:
    with running(Script(Listed({"a": machines.tray()})), pause_seconds=60) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None


def test_generations_start_where_they_are_told_to() -> None:
    assert Aggregator(Script(), first_generation=41)._inventory.generation == 41


def test_who_ended_listening_hears_nothing() -> None:
    heard: list[str] = []
    script = Script(Listed({}))
    with running(script) as aggregator:
        assert aggregator.wait(-1, PATIENCE) is not None
        aggregator.listen(lambda: heard.append("one"))
        aggregator.listen(lambda: heard.append("other"))()
        script.say(Applied("a", machines.tray()))
        assert aggregator.wait(0, PATIENCE) is not None
    assert heard == ["one"]


def test_a_bug_in_the_store_ends_the_loop() -> None:
    class Broken:
        def events(self, _stop: threading.Event) -> Iterator[Event]:
            yield Listed({})
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        Aggregator(Broken()).run(threading.Event())


def test_it_follows_a_real_store() -> None:
    store = MemoryStore()
    store.apply("a", machines.tray())
    with running(store) as aggregator:
        assert aggregator.wait(0, PATIENCE) is not None
        store.apply("b", machines.tray(number=1))
        graph = aggregator.wait(1, PATIENCE)
    assert graph is not None
    assert graph.domains[machines.domain_id(1)].nodes == ("a", "b")
