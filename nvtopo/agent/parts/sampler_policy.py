"""When GPU counters are read, and which samples a scrape gets. A state machine without I/O, clock or thread.

Counters are sampled while Prometheus scrapes. A scrape gets the latest sample; none if the driver hangs, the worker
died, or nobody scraped for so long that the driver was released (decision 6).
"""

import math
from typing import Final, NamedTuple

from nvtopo.model.samples.gpu_counters import GpuHistory
from nvtopo.runtime.backoff import Backoff
from nvtopo.runtime.worker_policy import Failure, Grace, Send, Wait, WorkerPolicy
from nvtopo.sinks.metrics.sampler import Sampled
from nvtopo.sources.nvml import topology as nvml
from nvtopo.sources.nvml.counters import HEALTH, TRAFFIC, CounterLine, decode

#: The least window of a scrape, so that a second Prometheus or a person does not hide a burst from the first.
_LEAST_WINDOW_SECONDS: Final = 15.0
#: How late a sample may be, beyond interval and deadline, before its series disappear.
_SLACK_SECONDS: Final = 1.0
#: A failed worker gets no grace. The agent must end within 2 s in total.
_GRACE: Final = Grace(unwanted=1.0, failed=0.0, stopped=0.2)


class Pace(NamedTuple):
    """The sampler's times, in seconds."""

    interval: float = 1.0
    """Between samples."""
    health: float = 5.0
    """Between samples that also read errors, temperature and power."""
    idle: float = 300.0
    """After this long without a scrape, the driver is released."""
    deadline: float = 3.0
    """For an answer of the worker."""
    start: float = nvml.DEADLINE_SECONDS
    """For a worker's first answer: without persistence mode the driver wakes its GPUs first."""
    backoff: float = 1.0
    """Before the next worker, doubled each time."""
    longest_backoff: float = 60.0
    """Also how often a worker is replaced while a GPU is lost: handles do not outlive a reset."""


class SamplerPolicy(WorkerPolicy):
    """A worker is wanted as long as somebody scrapes; it is asked once an interval, and one question at a time."""

    def __init__(self, pace: Pace, *, present: bool, backoff: Backoff | None = None) -> None:
        """``present``: whether there is a driver to ask, as far as known."""
        super().__init__(
            backoff or Backoff(pace.backoff, pace.longest_backoff),
            first_line=pace.start,
            settled=pace.longest_backoff,
            grace=_GRACE,
        )
        self._pace = pace
        self._present = present
        self._scraped = -math.inf
        self._asked: float | None = None
        self._asked_health = False
        self._failed: Failure | None = None
        """What the last sample with health lacks; one without asks for less."""
        self._answer_seconds = pace.start
        self._next_sample = self._next_health = -math.inf
        self._histories: dict[str, GpuHistory] = {}
        self._fresh_until = -math.inf
        self.state = Sampled(reasons=frozenset({"starting"}))
        """Without the GPUs, which each scrape has of its own."""

    def scrape(self, now: float) -> Sampled | None:
        """The current samples; None if there is no driver. Keeps the sampler running."""
        since, self._scraped = self._scraped, now
        if not self._present:
            return None
        if now > self._fresh_until:
            return self.state._replace(reasons=self.state.reasons or frozenset({"stale"}))
        window = _window(since, now)
        found = [history.traffic(window) for history in self._histories.values()]
        return self.state._replace(gpus=tuple(traffic for traffic in found if traffic))

    def wanted(self, now: float) -> bool:
        """Whether somebody scraped lately."""
        return now < self._scraped + self._pace.idle

    def unwanted(self) -> None:
        """The driver is released: the next scrape gets no sample."""
        self._forget("starting")

    def running(self, now: float) -> Send | Wait:
        """Ask when it is time, and nothing was asked that is not answered yet."""
        idle = self._scraped + self._pace.idle
        if self._asked is not None:
            return Wait(idle)
        if now < self._next_sample:
            return Wait(min(self._next_sample, idle))
        return Send(HEALTH if now >= self._next_health else TRAFFIC)

    def started(self, now: float) -> None:
        """It is asked at once, for everything."""
        super().started(now)
        self._present = True
        self._asked = None
        self._answer_seconds = self._pace.start
        self._next_sample = self._next_health = now

    def absent(self, now: float) -> None:
        """There is no driver."""
        super().absent(now)
        self._present = False

    def sent(self, now: float, line: bytes) -> None:
        """The request was sent and has a deadline."""
        self._asked, self._asked_health = now, line == HEALTH
        self._next_sample = now + self._pace.interval
        if line == HEALTH:
            self._next_health = now + self._pace.health
        self.expect(now, self._answer_seconds)

    def line(self, now: float, line: bytes) -> None:
        """Handle an answer or a failure."""
        answer, asked = decode(line), self._asked
        if isinstance(answer, Failure):
            self.failed(now, answer)
        elif asked is None:
            self.failed(now, Failure("garbled", "an answer to no question"))
        else:
            self._take(now, answer, asked)

    def failed(self, now: float, failure: Failure) -> None:
        """Old values are not served as fresh."""
        super().failed(now, failure)
        self._forget(failure.reason)
        self.state = self.state._replace(restarts=self.state.restarts + 1)

    def _take(self, now: float, answer: CounterLine, asked: float) -> None:
        """The next sample; a GPU that is not in it has no series from here on."""
        self._asked = None
        self._answer_seconds = self._pace.deadline
        self.expect(now, math.inf)
        if self._asked_health:
            self._failed = Failure("failed", "; ".join(answer.failed)) if answer.failed else None
        self.report(Failure("gpu-lost", f"{answer.lost} GPUs do not answer") if answer.lost else self._failed)
        histories = {gpu.uuid: self._histories.get(gpu.uuid) or GpuHistory() for gpu in answer.gpus}
        window = _window(self._scraped, now)
        for gpu in answer.gpus:
            histories[gpu.uuid].add(gpu, needed_since=window)
        self._histories = histories
        self._fresh_until = now + self._pace.interval + self._pace.deadline + _SLACK_SECONDS
        self.state = self.state._replace(
            reasons=frozenset(
                reason for reason, holds in (("gpu-lost", answer.lost), ("failed", self._failed)) if holds
            ),
            samples=self.state.samples + 1,
            sample_seconds=now - asked,
        )
        if answer.lost and self.ran_for(asked) > self._pace.longest_backoff:
            self.restart()

    def _forget(self, reason: str) -> None:
        self._histories = {}
        self._fresh_until = -math.inf
        self.state = self.state._replace(reasons=frozenset({reason}), sample_seconds=None)


def _window(scraped: float, now: float) -> float:
    """Since when traffic counts: the last scrape, or a little longer."""
    return min(scraped, now - _LEAST_WINDOW_SECONDS)
