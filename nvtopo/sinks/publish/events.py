"""Kubernetes Events on the Node for each change, through ``nvtopo.kube.event_door``."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from nvtopo.kube.client import Client
from nvtopo.kube.event_door import EventDoor
from nvtopo.kube.events import Reporter
from nvtopo.kube.node_uid import node_uid
from nvtopo.model.changes.node_events import of_changes, of_nvml
from nvtopo.model.conclusions.nvlink import unanswered
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.nvml_events import NvmlEvent
from nvtopo.sinks.publish.sink import Sink


class EventSink(Sink):
    """Sends the Events of one node. ``see``, ``on_event`` and ``write`` are each called from their own thread."""

    name = "events"

    def __init__(
        self,
        client: Client,
        node: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``clock`` measures intervals; ``now`` dates the Events."""
        self._node = node
        self._door = EventDoor(client, Reporter(node), partial(node_uid, client), clock=clock, now=now)
        self._answered: NodeTopology | None = None

    @property
    def waiting(self) -> int:
        """The number of Events and updates that wait to be sent."""
        return self._door.waiting

    def see(self, observation: Observation) -> None:
        """Queue its changes, even those that a later observation undoes before they are sent."""
        before = observation.previous
        if before is None or not observation.changes:
            return
        if not unanswered(before):
            self._answered = before
        for node_event in of_changes(before, observation.topology, observation.changes, self._answered):
            self._door.note(self._node, node_event)

    def on_event(self, event: NvmlEvent) -> None:
        """Queue an event of the driver."""
        self._door.note(self._node, of_nvml(event))

    def write(self, observation: Observation) -> None:
        """Send the Events that are due.

        Raises:
            ApiError: sending failed; the rest waits for the next ``write``.
        """
        del observation  # it was seen
        self._door.send()
