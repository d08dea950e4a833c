"""The thread of what is looked at again and again: a look at a time, and what it can't read is logged once."""

import logging
import threading
from abc import ABC, abstractmethod
from typing import Final

logger = logging.getLogger(__name__)

#: Between two looks at one small object.
LOOK_SECONDS: Final = 10.0


class Looking(ABC):
    """Looks while ``run`` runs."""

    def __init__(self, warning: str, look_seconds: float = LOOK_SECONDS) -> None:
        """``warning`` is logged, with the reason, when a look begins to miss something."""
        self._warning = warning
        self._seconds = look_seconds
        self._said = ""

    def run(self, stop: threading.Event) -> None:
        """Run until ``stop`` is set."""
        while not stop.is_set():
            self.step()
            stop.wait(self._seconds)

    def step(self) -> None:
        """Look once, and log a new reason why it failed."""
        reason = self.look()
        if reason and reason != self._said:
            logger.warning(self._warning, extra={"reason": reason})
        self._said = reason

    @abstractmethod
    def look(self) -> str:
        """Look, and say what could not be read; empty if nothing."""
