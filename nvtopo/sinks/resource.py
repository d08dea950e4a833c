"""The node's NodeTopology object: written when it changed, and looked after now and then.

The loop calls ``write`` at every step, changed or not. A topology whose digest is the last one written is not sent, so
a quiet node costs the API server nothing, but for this: every ten minutes the same is applied again. Where the object
is as it should be, the API server stores nothing and tells no watcher; where somebody deleted or edited it, it is
back.
"""

import random
import time
from collections.abc import Callable

from nvtopo.kube.store import TopologyStore
from nvtopo.model import node
from nvtopo.model.node import NodeTopology
from nvtopo.sinks.refresh import REFRESH_SECONDS, Refresh


class ResourceSink:
    """Writes the topology of one node. What could not be written is tried at the next ``write``."""

    name = "resource"

    def __init__(
        self,
        store: TopologyStore,
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

    def write(self, topology: NodeTopology) -> None:
        """Applies the topology if that is called for.

        Raises:
            ApiError: it was not written; the loop goes on and calls again.
        """
        digest = node.digest(topology)
        if self._refresh.called_for(digest):
            self._store.apply(self._node, topology)
            self._refresh.written(digest)
