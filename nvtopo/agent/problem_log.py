"""Problems in the log: when one comes and when it goes, and not at each reading between."""

import logging
from collections.abc import Iterable

from nvtopo.model.record import Problem

logger = logging.getLogger(__name__)


class ProblemLog:
    """What was said last."""

    def __init__(self) -> None:
        self._known: frozenset[Problem] = frozenset()

    def say(self, problems: Iterable[Problem]) -> None:
        """Log what differs from the last time."""
        before, self._known = self._known, frozenset(problems)
        for problem in self._known - before:
            logger.warning(
                "cannot read", extra={"source": problem.source, "subject": problem.subject, "reason": problem.reason}
            )
        for problem in before - self._known:
            logger.info("can read again", extra={"source": problem.source, "subject": problem.subject})
