"""Handing observations to sinks: each is written, and retried with backoff, in a thread of its own.

So a sink that hangs, because an API server or a disk does not answer, delays neither the loop nor other sinks.
``delivery_policy`` decides what is written when.
"""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from nvtopo.agent.delivery_policy import DeliveryPolicy, Stop, Write
from nvtopo.errors import NvtopoError
from nvtopo.kube.refusal import Throttled
from nvtopo.model.observation import Observation
from nvtopo.sinks.publish.sink import Sink

logger = logging.getLogger(__name__)

#: As long as ``threading`` can wait.
_LONGEST_WAIT_SECONDS: Final = 3600.0


class Delivery:
    """One sink. Its thread runs while this is entered."""

    def __init__(
        self,
        sink: Sink,
        on_bug: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        policy: DeliveryPolicy | None = None,
    ) -> None:
        """``on_bug`` is called from the thread when the sink raised what no sink should; ``check`` raises it again."""
        self._sink = sink
        self._on_bug = on_bug
        self._clock = clock
        self._bug: BaseException | None = None
        self._changed = threading.Condition()
        self._policy = policy or DeliveryPolicy()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The sink's name."""
        return self._sink.name

    @property
    def delivered(self) -> bool:
        """Whether the last write succeeded, and none hangs."""
        with self._changed:
            return self._policy.delivered(self._clock())

    def see(self, observation: Observation) -> None:
        """Show the sink an observation, in the caller's thread."""
        self._sink.see(observation)

    def offer(self, observation: Observation) -> None:
        """Give the thread the newest observation to write; one offered before and not written yet is dropped."""
        with self._changed:
            self._policy.offer(observation)
            self._changed.notify_all()

    def attempt(self, observation: Observation) -> None:
        """Write in the caller's thread, unless the sink failed so recently that it has to wait."""
        self.offer(observation)
        with self._changed:
            action = self._policy.next(self._clock())
        if isinstance(action, Write):
            self._write(action.observation)

    def check(self) -> None:
        """Raise in the caller's thread a bug of the sink."""
        if self._bug is not None:
            raise self._bug

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name=f"sink-{self.name}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        with self._changed:
            self._policy.stop()
            self._changed.notify_all()

    def join(self, seconds: float) -> None:
        """After the exit: wait for a write under way, but not longer."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        try:
            while (observation := self._next()) is not None:
                self._write(observation)
        except BaseException as error:  # noqa: BLE001 - raised again in the loop's thread
            with self._changed:
                self._policy.broken()
            self._bug = error
            self._on_bug()

    def _next(self) -> Observation | None:
        """The observation to write, once one is due; None at the end."""
        with self._changed:
            while True:
                action = self._policy.next(self._clock())
                if isinstance(action, Stop):
                    return None
                if isinstance(action, Write):
                    return action.observation
                self._changed.wait(min(_LONGEST_WAIT_SECONDS, action.until - self._clock()))

    def _write(self, observation: Observation) -> None:
        try:
            self._sink.write(observation)
        except NvtopoError as error:
            retry_after = error.retry_after if isinstance(error, Throttled) else 0.0
            with self._changed:
                first = self._policy.failed(self._clock(), retry_after)
            if first:
                logger.warning("sink failed", extra={"sink": self.name, "reason": str(error)})
            return
        with self._changed:
            failures = self._policy.written()
        if failures:
            logger.info("sink works again", extra={"sink": self.name, "failures": failures})
