"""The node's NodeTopology object: written when it changed, and looked after now and then.

The loop calls ``write`` at every step, changed or not. A topology whose digest is the last one written is not sent, so
a quiet node costs the API server nothing, but for this: every ten minutes the same is applied again. Where the object
is as it should be, the API server stores nothing and tells no watcher; where somebody deleted or edited it, it is
back.
"""

import random
import time
from collections.abc import Callable
from typing import Final

from nvtopo.kube.store import TopologyStore
from nvtopo.model import node
from nvtopo.model.node import NodeTopology

REFRESH_SECONDS: Final = 600.0


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
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._draw = draw
        self._written: str | None = None
        self._due = 0.0

    def write(self, topology: NodeTopology) -> None:
        """Applies the topology if that is called for.

        Raises:
            ApiError: it was not written; the loop goes on and calls again.
        """
        digest = node.digest(topology)
        if digest == self._written and self._clock() < self._due:
            return
        self._store.apply(self._node, topology)
        self._written = digest
        self._due = self._clock() + self._refresh_seconds * (0.75 + self._draw() / 2)
