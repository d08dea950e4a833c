"""Writes objects of one kind as ``apply_queue`` says, with a few threads; the log says when that stops working."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from nvtopo.errors import ApiError
from nvtopo.kube.apply_queue import ApplyQueue, Limits, Outcome, Write, outcome_of
from nvtopo.kube.refusal import Throttled
from nvtopo.runtime.backoff import Backoff

logger = logging.getLogger(__name__)

D = TypeVar("D")

#: How soon a thread with nothing to do notices that this replica leads, or should stop.
_LONGEST_WAIT_SECONDS: Final = 1.0


class Figures(NamedTuple):
    """Statistics of an applier."""

    waiting: int
    """Objects whose newest document is not written yet."""
    refused: int
    """Objects that the API server does not take as they are."""
    outcomes: dict[Outcome, int]
    """Writes since it was made, by what came of them."""


class Applier(Generic[D]):
    """The one writer of its objects, while this replica leads. Usable from several threads at once."""

    def __init__(  # noqa: PLR0913 - what it writes, and limits with defaults
        self,
        what: str,
        write: Callable[[str, D], None],
        term: Callable[[], int | None],
        *,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``what`` it writes, for the log. ``write`` sends a document to the object of that name, or raises ApiError.

        ``term`` is the term of leadership at this moment, None for who does not lead: it is asked before every write.
        """
        self._what = what
        self._write = write
        self._term = term
        self._limits = limits or Limits()
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: ApplyQueue[D] = ApplyQueue(self._limits, backoff or Backoff())
        self._stopped = False
        self._bug: BaseException | None = None

    @property
    def figures(self) -> Figures:
        """The current figures."""
        with self._changed:
            return Figures(self._queue.waiting, self._queue.refused, dict(self._queue.outcomes))

    def want(self, name: str, document: D, term: int) -> None:
        """Set what the object should be now, as concluded in this term of leadership."""
        with self._changed:
            self._queue.want(name, document, term)
            self._changed.notify()

    def knows(self, name: str) -> bool:
        """Whether anything of the object was written in this term, or waits to be."""
        with self._changed:
            return self._queue.knows(name)

    def forget(self, name: str) -> None:
        """Forget an object that is gone."""
        with self._changed:
            self._queue.forget(name)

    def run(self, stop: threading.Event) -> None:
        """Write until ``stop`` is set, and end the writes under way. A bug in a write ends it too, and is raised."""
        threads = [
            threading.Thread(target=self._work, args=(stop,), name=f"apply-{self._what}-{number}", daemon=True)
            for number in range(self._limits.in_flight)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._bug is not None:
            raise self._bug

    def _work(self, stop: threading.Event) -> None:
        try:
            while (write := self._next(stop)) is not None:
                self._send(write)
        except BaseException as error:  # noqa: BLE001 - raised again by ``run``
            with self._changed:
                self._bug, self._stopped = error, True
                self._changed.notify_all()

    def _next(self, stop: threading.Event) -> Write[D] | None:
        """The next write, once there is one; None at the end."""
        with self._changed:
            while not (self._stopped or stop.is_set()):
                write = self._queue.next(self._clock(), self._term())
                if write is not None:
                    return write
                self._changed.wait(self._seconds())
        return None

    def _seconds(self) -> float:
        """How long to wait for something to change; who does not lead only waits for that."""
        return min(_LONGEST_WAIT_SECONDS, self._queue.seconds_until_next(self._clock()) or _LONGEST_WAIT_SECONDS)

    def _send(self, write: Write[D]) -> None:
        outcome, reason, retry_after = Outcome.WRITTEN, "", 0.0
        try:
            self._write(write.name, write.document)
        except ApiError as error:
            outcome, reason = outcome_of(error), str(error)
            retry_after = error.retry_after if isinstance(error, Throttled) else 0.0
        with self._changed:
            available, refused = self._queue.available, self._queue.refused
            self._queue.done(write, outcome, self._clock(), retry_after)
            self._log(write.name, reason, available=available, refused=refused)
            self._changed.notify_all()

    def _log(self, name: str, reason: str, *, available: bool, refused: int) -> None:
        """Transitions only: of the server, and of the objects that it does not take."""
        fields = {"what": self._what, "object": name, "reason": reason}
        if available and not self._queue.available:
            logger.warning("cannot write, trying on", extra=fields)
        elif self._queue.available and not available:
            logger.info("writes work again", extra={"what": self._what})
        if self._queue.refused and not refused:
            logger.warning("an object is refused", extra=fields)
