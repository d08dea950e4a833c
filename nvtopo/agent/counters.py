"""Counters that are read at the moment of the scrape, cheap enough for it: NUMA and CPUs."""

from collections.abc import Callable

from nvtopo.sinks import numa_metrics
from nvtopo.sinks.metrics import Observation
from nvtopo.sinks.series import Families, Part
from nvtopo.sources import numa_counters
from nvtopo.sources.sysfs import SysfsRoot


def part(root: SysfsRoot, latest: Callable[[], Observation | None]) -> Part:
    """The part of the page that is NUMA and CPUs; without an observation the nodes are not known."""

    def now() -> Families:
        observation = latest()
        if observation is None or observation.snapshot.numa is None:
            return ()
        counters = numa_counters.read(root, observation.snapshot.numa)
        return numa_metrics.families(counters.nodes, counters.context_switches)

    return now
