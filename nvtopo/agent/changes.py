"""Counts, since the agent's start, what differed between readings."""

from collections import Counter

from nvtopo.model.node import NodeTopology
from nvtopo.sinks.metrics import changes as change_metrics
from nvtopo.sinks.metrics.series import Families


class Changes:
    """What was counted so far."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, before: NodeTopology, after: NodeTopology) -> None:
        """The next reading."""
        self._counts.update(change_metrics.differing(before, after))

    def part(self) -> Families:
        """The part of the metrics page."""
        return change_metrics.families(self._counts.copy())
