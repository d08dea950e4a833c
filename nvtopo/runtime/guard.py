"""Calls that may fail for one subject and must not end what makes them: a bug is logged once, with its trace."""

import logging
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from nvtopo.errors import reason_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Failures that were logged; who can cause more of them than this is logged again.
_MOST_SAID: Final = 4096


class Failed(NamedTuple):
    """What a call left instead of its result."""

    reason: str
    """Why the call gave no result, in one line."""


class Guard:
    """Usable from several threads at once."""

    def __init__(self, expected: tuple[type[Exception], ...] = (ValueError,)) -> None:
        """``expected`` are what a function raises to refuse its input, which is no bug."""
        self._expected = expected
        self._said: set[tuple[str, str, type[Exception]]] = set()

    def call(self, subject: str, stage: str, function: Callable[[], T]) -> T | Failed:
        """What the function returns; what it raises as a reason. A bug is logged once for each subject and kind."""
        try:
            return function()
        except Exception as error:  # noqa: BLE001 - whatever one subject causes stays with it
            if not isinstance(error, self._expected):
                self._say(subject, stage, error)
            return Failed(reason_of(error, self._expected))

    def _say(self, subject: str, stage: str, error: Exception) -> None:
        kind = (subject, stage, type(error))
        if kind in self._said:
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said.add(kind)
        logger.error("bug", extra={"subject": subject, "stage": stage}, exc_info=error)
