"""The node's NodeTopology object: written after a change, and again from time to time.

The loop calls ``write`` at every step, changed or not. A topology with the digest of the last one written is not
sent, so a quiet node costs the API server almost nothing: every ten minutes the same content is applied again. If the
object is unchanged, the API server stores nothing and notifies no watcher; if somebody deleted or edited it, the apply
restores it.
"""

import random
import time
from collections.abc import Callable

from nvtopo.kube.topology_writer import TopologyWriter
from nvtopo.model.observation import Observation
from nvtopo.model.records import node
from nvtopo.model.records.standing import Standing
from nvtopo.sinks.publish.refresh import REFRESH_SECONDS, Refresh
from nvtopo.sinks.publish.sink import Sink


class ResourceSink(Sink):
    """Writes the topology of one node. A failed write is tried again at the next ``write``."""

    name = "resource"

    def __init__(
        self,
        store: TopologyWriter,
        name: str,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``name`` is the Node's; ``draw`` spreads the refreshes of many nodes, with numbers from [0, 1)."""
        self._store = store
        self._node = name
        self._refresh = Refresh(clock, draw, refresh_seconds)
        self.standing = Standing()
        """What the aggregator last said of the node. What was learned stays, since a new leader has yet to learn it."""

    def write(self, observation: Observation) -> None:
        """Apply the topology if it is due.

        Raises:
            ApiError: it was not written; the loop goes on and calls again.
        """
        digest = node.digest(observation.topology)
        if self._refresh.called_for(digest):
            said = self._store.apply(self._node, observation.topology) or Standing()
            self.standing = Standing(accepted=said.accepted, learned=said.learned or self.standing.learned)
            self._refresh.written(digest)
