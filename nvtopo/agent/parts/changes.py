"""Counts, since the agent's start, what differed between readings."""

from collections import Counter
from collections.abc import Iterable

from nvtopo.model.changes.change import Change
from nvtopo.sinks.metrics import changes as change_metrics
from nvtopo.sinks.metrics.series import Families


class Changes:
    """What was counted so far."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, found: Iterable[Change]) -> None:
        """What the next reading changed."""
        self._counts.update(change_metrics.differing(found))

    def part(self) -> Families:
        """The part of the metrics page."""
        return change_metrics.families(self._counts.copy())
