import threading

from nvtopo.aggregator.loop import Aggregator
from nvtopo.aggregator.status import StatusWriter, status_of
from nvtopo.cluster.nodes import GraphNode, readable, unreadable
from nvtopo.errors import ApiError
from nvtopo.kube.memory import MemoryStore
from nvtopo.kube.v1alpha1 import Status
from nvtopo.model.node import NodeTopology
from tests.cluster import machines


def condition(node: GraphNode) -> tuple[str, str]:
    (one,) = status_of(node).conditions
    return one.status, one.reason


def test_a_healthy_tray_is_ready_and_in_its_domain() -> None:
    node = readable("t", machines.tray())
    assert condition(node) == ("True", "AllWell")
    assert status_of(node).domain == node.tiers["nvlinkDomain"]


def test_what_is_not_known_is_not_false() -> None:
    assert condition(unreadable("t", "broken")) == ("Unknown", "NotKnown")
    assert condition(readable("t", NodeTopology(nvlink_hidden=True))) == ("Unknown", "NotKnown")


def test_a_node_without_gpus_is_no_gpu_node() -> None:
    assert condition(readable("t", NodeTopology())) == ("False", "NoGpu")


class Counting(MemoryStore):
    """A store that counts what is written, and refuses as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.refusals = 0

    def set_status(self, name: str, status: Status) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ApiError("the API server is away")
        self.writes += 1
        super().set_status(name, status)


def test_only_what_changed_is_written_and_a_refusal_is_tried_again() -> None:
    store = Counting()
    topology = machines.tray()
    store.apply("a", topology)
    store.apply("b", topology)
    writer = StatusWriter(Aggregator(store), store, lambda: True)
    nodes = {name: readable(name, topology) for name in ("a", "b")}
    store.refusals = 1
    writer.write(nodes)
    writer.write(nodes)
    writer.write(nodes)
    assert store.writes == 2
    writer.write({"a": nodes["a"], "b": readable("b", NodeTopology())})
    assert store.writes == 3
    assert store.statuses["b"].domain is None


def test_who_does_not_lead_writes_nothing() -> None:
    store = Counting()
    store.apply("a", machines.tray())
    aggregator, stop, leading = Aggregator(store), threading.Event(), threading.Event()
    writer = StatusWriter(aggregator, store, leading.is_set)
    threads = [threading.Thread(target=run, args=(stop,)) for run in (aggregator.run, writer.run)]
    for thread in threads:
        thread.start()
    try:
        assert aggregator.wait(-1, timeout=10) is not None
        assert store.writes == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert store.writes == 0
