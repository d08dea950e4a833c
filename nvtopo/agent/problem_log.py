"""Logs a problem when it appears and when it disappears, not at each reading between."""

import logging
from collections.abc import Iterable

from nvtopo.model.records.record import Problem

logger = logging.getLogger(__name__)


class ProblemLog:
    """Remembers the problems of the last reading."""

    def __init__(self) -> None:
        self._known: frozenset[Problem] = frozenset()

    def say(self, problems: Iterable[Problem]) -> None:
        """Log the problems that appeared or disappeared since the last call."""
        before, self._known = self._known, frozenset(problems)
        for problem in self._known - before:
            logger.warning(
                "cannot read", extra={"source": problem.source, "subject": problem.subject, "reason": problem.reason}
            )
        for problem in before - self._known:
            logger.info("can read again", extra={"source": problem.source, "subject": problem.subject})
