import queue
import threading
from collections.abc import Iterator

from nvtopo.aggregator.node_label_tiers import NodeLabelTiers
from nvtopo.cluster.claims import Reading
from nvtopo.kube.following import Changed, Listed
from nvtopo.kube.node_labels import LabelEvent

ZONE = "topology.kubernetes.io/zone"


class Said:
    def __init__(self, *events: LabelEvent) -> None:
        self.queue: queue.SimpleQueue[LabelEvent] = queue.SimpleQueue()
        for event in events:
            self.queue.put(event)

    def events(self, stop: threading.Event) -> Iterator[LabelEvent]:
        while not stop.is_set():
            try:
                yield self.queue.get(timeout=0.01)
            except queue.Empty:
                continue


def test_labels_become_readings_and_only_what_differs_is_told() -> None:
    said, stop = Said(Listed({"a": {ZONE: "z1"}, "b": {}})), threading.Event()
    told: queue.SimpleQueue[dict[str, Reading]] = queue.SimpleQueue()
    tiers = NodeLabelTiers(said, lambda readings: told.put(dict(readings)), pause_seconds=0)
    thread = threading.Thread(target=tiers.run, args=(stop,))
    thread.start()
    try:
        first = told.get(timeout=5)
        assert [(one.node, one.tier, one.id) for one in first["labels/kubernetes"].claims] == [("a", "zone", "z1")]
        said.queue.put(Changed("b", {}))
        said.queue.put(Changed("a", {ZONE: "z2"}))
        second = told.get(timeout=5)
        assert [one.id for one in second["labels/kubernetes"].claims] == ["z2"]
        said.queue.put(Changed("a", None))
        assert told.get(timeout=5) == {}
    finally:
        stop.set()
        thread.join(5)
    assert told.empty()
    assert not thread.is_alive()
