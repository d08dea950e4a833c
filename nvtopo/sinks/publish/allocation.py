"""The node's NodeAllocation object: written when another container holds a device, and again from time to time.

Who holds what is read anew for each ``write``, and the loop calls it every few seconds: a burst of pods is one write.
"""

import random
import time
from collections.abc import Callable

from nvtopo.kube import allocations
from nvtopo.kube.client import Client
from nvtopo.model.observation import Observation
from nvtopo.model.records.allocation import Allocation
from nvtopo.sinks.publish.refresh import Refresh
from nvtopo.sinks.publish.sink import Sink


class AllocationSink(Sink):
    """Writes one node's NodeAllocation. A failed write is tried again at the next ``write``."""

    name = "allocation"

    def __init__(
        self,
        client: Client,
        node: str,
        held: Callable[[Observation], Allocation],
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``held`` asks who holds the devices now; ``draw`` spreads the refreshes of many nodes, from [0, 1)."""
        self._client = client
        self._node = node
        self._held = held
        self._refresh = Refresh(clock, draw)

    def write(self, observation: Observation) -> None:
        """Ask, and apply the object if it is due.

        Raises:
            ApiError: it was not written: ``NotFound`` where there is no such Node, or no CRD.
        """
        allocation = self._held(observation)
        if self._refresh.called_for(allocation):
            allocations.apply(self._client, self._node, allocation)
            self._refresh.written(allocation)
