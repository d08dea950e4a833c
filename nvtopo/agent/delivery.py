"""Handing observations to a sink: each sink is retried by itself, with backoff, and does not hold up the others."""

import logging
import random
from typing import Protocol

from nvtopo.errors import NvtopoError
from nvtopo.model.node import NodeTopology
from nvtopo.sinks.metrics import Observation

logger = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0
#: Nothing to retry.
_NEVER = float("inf")


class Sink(Protocol):
    """Somewhere a node's topology is kept. It decides by itself whether anything has to be written."""

    @property
    def name(self) -> str:
        """What the sink is called in logs."""

    def write(self, topology: NodeTopology) -> None:
        """Make what it keeps true to the topology; NvtopoError where that fails, and then nothing is half-written."""


class Delivery:
    """One sink, and when it may be tried again."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._failures = 0
        self._retry_at = 0.0
        self._retry_after = _NEVER
        self.delivered = False

    def attempt(self, observation: Observation, now: float) -> None:
        """Write, unless the sink failed so recently that it has to wait; ``now`` is monotonic seconds."""
        if self._failures and now < self._retry_at:
            return
        try:
            self._sink.write(observation.node)
        except NvtopoError as error:
            self._failed(error, now)
            return
        if self._failures:
            logger.info("sink works again", extra={"sink": self._sink.name, "failures": self._failures})
        self._failures, self._retry_after, self.delivered = 0, _NEVER, True

    def retry_in(self) -> float:
        """Seconds until a failed sink is worth another attempt; infinite where nothing failed."""
        return self._retry_after

    def _failed(self, error: NvtopoError, now: float) -> None:
        self.delivered = False
        if not self._failures:
            logger.warning("sink failed", extra={"sink": self._sink.name, "reason": str(error)})
        self._failures += 1
        longest = min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2 ** min(self._failures - 1, 10))
        self._retry_after = longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        self._retry_at = now + self._retry_after
