"""Counters that are read at the moment of the scrape, cheap enough for it: NUMA and CPUs."""

from collections.abc import Callable

from nvtopo.agent.problem_log import ProblemLog
from nvtopo.model.observation import Observation
from nvtopo.model.records.record import Problem
from nvtopo.sinks.metrics import numa as numa_metrics
from nvtopo.sinks.metrics.series import Families
from nvtopo.sources.linux import numa_counters
from nvtopo.sources.sysfs import SysfsRoot


class NumaPart:
    """The part of the page that is NUMA and CPUs; without an observation the nodes are not known."""

    def __init__(self, root: SysfsRoot, latest: Callable[[], Observation | None]) -> None:
        self._root = root
        self._latest = latest
        self._log = ProblemLog()
        self.problems: tuple[Problem, ...] = ()
        """Of the last scrape."""

    def __call__(self) -> Families:
        """What there is now."""
        observation = self._latest()
        if observation is None or observation.snapshot.numa is None:
            return ()
        counters = numa_counters.read(self._root, observation.snapshot.numa)
        self.problems = counters.problems
        self._log.say(counters.problems)
        return numa_metrics.families(counters.nodes, counters.context_switches)
