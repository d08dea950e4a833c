"""Threads that ended by an exception: a process that lost one does half of its work, and has to say so.

Every thread of the process is watched, ours and a library's, without being listed anywhere. A thread whose end harms
nothing handles its exceptions itself.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self

logger = logging.getLogger(__name__)

_MOST_NAMES: Final = 64


class FallenThreads:
    """Watches while it is open."""

    def __init__(self, fell: Callable[[], None] = lambda: None) -> None:
        """``fell`` is called in a thread that ends so."""
        self._fell = fell
        self._fallen: Mapping[str, str] = MappingProxyType({})

    def __enter__(self) -> Self:
        self._before = threading.excepthook
        threading.excepthook = self._note
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        threading.excepthook = self._before

    @property
    def fallen(self) -> Mapping[str, str]:
        """Thread → the name of what it raised."""
        return self._fallen

    def all_run(self) -> bool:
        """Whether every thread runs, or has ended as it should."""
        return not self._fallen

    def _note(self, ended: threading.ExceptHookArgs) -> None:
        name = ended.thread.name if ended.thread is not None else "unknown"
        if len(self._fallen) < _MOST_NAMES:
            self._fallen = MappingProxyType({**self._fallen, name: ended.exc_type.__name__})
        logger.critical("a thread ended by a bug", extra={"of": name}, exc_info=ended.exc_value)
        self._fell()
