"""Counters that are read at the moment of the scrape, cheap enough for it: NUMA and CPUs."""

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from nvtopo.sinks import numa_metrics
from nvtopo.sinks.metrics import Observation
from nvtopo.sources import numa_counters
from nvtopo.sources.sysfs import SysfsRoot


class NumaCollector:
    """A prometheus-client collector; without an observation it does not know the nodes and has no series."""

    def __init__(self, root: SysfsRoot, latest: Callable[[], Observation | None]) -> None:
        self._root = root
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """The families of this moment."""
        observation = self._latest()
        if observation is None or observation.snapshot.numa is None:
            return
        counters = numa_counters.read(self._root, observation.snapshot.numa)
        yield from numa_metrics.families(counters.nodes, counters.context_switches)
