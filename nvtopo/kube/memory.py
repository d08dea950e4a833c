"""A store in one process: agent and aggregator of ``nvtopo standalone`` meet here, and tests do."""

import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.cluster.events import Applied, Deleted, Event, Listed
from nvtopo.cluster.records import EMPTY
from nvtopo.errors import NotFound
from nvtopo.kube.v1alpha1_status import Status
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.standing import Standing

#: How soon a reader notices that it should stop: an Event and a Queue can't be waited for together.
_STOP_SECONDS: Final = 0.1
_NOT_FOUND: Final = 404


class MemoryStore:
    """The same promises as ``KubeStore``; nothing survives the process. Usable from several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topologies: dict[str, NodeTopology] = {}
        self._statuses: dict[str, Status] = {}
        self._readers: list[queue.SimpleQueue[Event]] = []

    @property
    def statuses(self) -> Mapping[str, Status]:
        """What the aggregator wrote, by node, at this moment."""
        with self._lock:
            return dict(self._statuses)

    def apply(self, name: str, topology: NodeTopology) -> Standing | None:
        """Keeps a node's topology; an equal one changes nothing and is no event."""
        with self._lock:
            if self._topologies.get(name) != topology:
                self._topologies[name] = topology
                self._tell(Applied(name, topology))
            return self._statuses[name].expected if name in self._statuses else None

    def set_status(self, name: str, status: Status) -> None:
        """Keeps what the aggregator concluded.

        Raises:
            NotFound: the node has no topology.
        """
        with self._lock:
            if name not in self._topologies:
                raise NotFound(f"{name}: no NodeTopology of that name", status=_NOT_FOUND)
            self._statuses[name] = status

    def delete(self, name: str) -> None:
        """Forgets a node, as the garbage collector does when its Node has gone; an unknown one is fine."""
        with self._lock:
            self._statuses.pop(name, None)
            if self._topologies.pop(name, None) is not None:
                self._tell(Deleted(name))

    def events(self, stop: threading.Event) -> Iterator[Event]:
        """``Listed``, then what happens, until ``stop`` is set. Every reader gets every event."""
        mine: queue.SimpleQueue[Event] = queue.SimpleQueue()
        with self._lock:
            records = {name: status.record for name, status in self._statuses.items() if status.record != EMPTY}
            mine.put(Listed(dict(self._topologies), records=records))
            self._readers.append(mine)
        try:
            while not stop.is_set():
                try:
                    event = mine.get(timeout=_STOP_SECONDS)
                except queue.Empty:
                    continue
                yield event
        finally:
            with self._lock:
                self._readers.remove(mine)

    def _tell(self, event: Event) -> None:
        for reader in self._readers:
            reader.put(event)
