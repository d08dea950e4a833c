"""Handing observations to sinks: each is written, and retried with backoff, in a thread of its own.

So one that hangs, over an API server or a disk that does not answer, holds up neither the loop nor the others.
"""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from nvtopo.errors import NvtopoError
from nvtopo.kube.backoff import Backoff
from nvtopo.kube.refusal import Throttled
from nvtopo.model.node import NodeTopology

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS: Final = 1.0
_LONGEST_RETRY_SECONDS: Final = 60.0
#: A write that takes longer counts as not delivered while it lasts.
_OVERDUE_SECONDS: Final = 10.0
#: Nothing to retry.
_NEVER: Final = float("inf")
#: As long as ``threading`` can wait.
_LONGEST_WAIT_SECONDS: Final = 3600.0


class Sink(Protocol):
    """Somewhere a node's topology is kept. It decides by itself whether anything has to be written."""

    @property
    def name(self) -> str:
        """What the sink is called in logs."""

    def write(self, topology: NodeTopology) -> None:
        """Make what it keeps true to the topology; NvtopoError where that fails, and then nothing is half-written."""


class Delivery:
    """One sink: what it gets next, and when it may be tried again. Its thread runs while it is entered."""

    def __init__(
        self, sink: Sink, on_bug: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``on_bug`` is called from the thread when the sink raised what no sink should; ``check`` raises it again."""
        self._sink = sink
        self._on_bug = on_bug
        self._clock = clock
        self._bug: BaseException | None = None
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
        self._failures = 0
        self._retry_at = _NEVER
        self._taken = False
        self._writing_since: float | None = None
        self._changed = threading.Condition()
        self._offered: NodeTopology | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The sink's."""
        return self._sink.name

    @property
    def delivered(self) -> bool:
        """Whether the sink took what it was last given, and does not hang over the next."""
        since = self._writing_since
        return self._taken and (since is None or self._clock() < since + _OVERDUE_SECONDS)

    def attempt(self, topology: NodeTopology) -> None:
        """Write, unless the sink failed so recently that it has to wait."""
        if self._failures and self.retry_in() > 0:
            return
        self._writing_since = self._clock()
        try:
            self._sink.write(topology)
        except NvtopoError as error:
            self._failed(error)
            return
        finally:
            self._writing_since = None
        if self._failures:
            logger.info("sink works again", extra={"sink": self.name, "failures": self._failures})
        self._backoff.reset()
        self._failures, self._retry_at, self._taken = 0, _NEVER, True

    def retry_in(self) -> float:
        """Seconds until a failed sink is worth another attempt; infinite where nothing failed."""
        return self._retry_at - self._clock()

    def offer(self, topology: NodeTopology) -> None:
        """The newest topology, for the thread to write; what was offered before and is not written yet is outdated."""
        with self._changed:
            self._offered = topology
            self._changed.notify_all()

    def check(self) -> None:
        """Raise in the caller's thread what the sink should never have raised in its own."""
        if self._bug is not None:
            raise self._bug

    def __enter__(self) -> Self:
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """After the exit: wait for a write under way, but not longer."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        topology: NodeTopology | None = None
        try:
            while (topology := self._next(topology)) is not None:
                self.attempt(topology)
        except BaseException as error:  # noqa: BLE001 - raised again in the loop's thread
            self._taken, self._bug = False, error
            self._on_bug()

    def _next(self, before: NodeTopology | None) -> NodeTopology | None:
        """What to write: once it is offered, or once what failed is due again. None at the end."""
        with self._changed:
            while not (self._stopped or self._offered is not None or self.retry_in() <= 0):
                self._changed.wait(min(_LONGEST_WAIT_SECONDS, self.retry_in()))
            topology, self._offered = self._offered or before, None
            return None if self._stopped else topology

    def _failed(self, error: NvtopoError) -> None:
        self._taken = False
        if not self._failures:
            logger.warning("sink failed", extra={"sink": self.name, "reason": str(error)})
        self._failures += 1
        asked = error.retry_after if isinstance(error, Throttled) else 0.0
        self._retry_at = self._clock() + self._backoff.delay(asked)
