"""GPU counters, sampled beside the loop as long as somebody scrapes them; a scrape itself never asks the driver.

What is asked when, and what a scrape gets, is ``sampler_policy``.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from nvtopo.agent.parts.sampler_policy import Pace, SamplerPolicy
from nvtopo.model.observation import Observation
from nvtopo.runtime.forked_worker import ForkedWorker, ForkServer
from nvtopo.runtime.supervised_worker import SupervisedWorker, log_reports
from nvtopo.sinks.metrics import gpus as gpu_metrics
from nvtopo.sinks.metrics import nvlink as nvlink_metrics
from nvtopo.sinks.metrics import sampler as sampler_metrics
from nvtopo.sinks.metrics.nvlink import LinkContext
from nvtopo.sinks.metrics.observation import once_for_each
from nvtopo.sinks.metrics.sampler import Sampled
from nvtopo.sinks.metrics.series import Family, Part
from nvtopo.sources.machine import Machine
from nvtopo.sources.nvml import topology as nvml
from nvtopo.sources.nvml.forks import fork_server

logger = logging.getLogger(__name__)

#: A worker that the kernel keeps can't be waited for: the end of the agent has 2 s in all.
_JOIN_SECONDS = 0.7


class Sampler:
    """Samples from the first scrape on, while it is entered."""

    def __init__(self, library: str, pace: Pace | None = None, forks: ForkServer | None = None) -> None:
        """``forks`` makes the worker; without one the sampler has its own."""
        self._library = library
        self._forks = forks or fork_server()
        self._policy = SamplerPolicy(pace or Pace(), present=nvml.library_present(library))
        self._worker = SupervisedWorker("sampler", self._policy, self._start, self._log)

    def __enter__(self) -> Self:
        self._worker.begin()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._worker.stop()
        self._worker.join(_JOIN_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._worker.alive

    @property
    def worker_pid(self) -> int | None:
        """The worker's process; None where there is none."""
        return self._worker.worker_pid

    def scrape(self) -> Sampled | None:
        """What there is now; None where there is no driver to ask. Keeps the sampler awake, and never waits for it."""
        with self._worker.changed:
            sampled = self._policy.scrape(time.monotonic())
        self._worker.wake()
        return sampled

    def wait(self, condition: Callable[[Sampled], bool], seconds: float) -> bool:
        """Wait until the state is so; False where it is not in time."""
        with self._worker.changed:
            return self._worker.changed.wait_for(lambda: condition(self._policy.state), seconds)

    def _start(self) -> ForkedWorker | None:
        return self._forks.fork("nvml-counters", self._library) if nvml.library_present(self._library) else None

    def _log(self) -> None:
        with self._worker.changed:
            reports = self._policy.reports()
        log_reports(logger, reports, "sampler", "cannot sample", "samples again")


def part(sampler: Sampler, latest: Callable[[], Observation | None]) -> Part:
    """The part of the page that is sampled; the observation knows what is on the other side of a link."""
    placed = once_for_each(latest, _place)

    def now() -> Iterator[Family]:
        sampled = sampler.scrape()
        if sampled is None:
            return
        yield from sampler_metrics.families(sampled)
        yield from nvlink_metrics.families(sampled.gpus, placed() or LinkContext())
        yield from gpu_metrics.families(sampled.gpus)

    return now


@contextmanager
def sampling(
    machine: Machine, latest: Callable[[], Observation | None], interval_seconds: float = Pace().interval
) -> Iterator[tuple[Part, ...]]:
    """Sample the driver that this machine asks: yields a part of the page, or none where it asks none or every 0 s."""
    if not isinstance(machine.nvml, nvml.NvmlWorker) or not interval_seconds:
        yield ()
        return
    pace = Pace(interval=interval_seconds, start=machine.nvml.deadline_seconds)
    with Sampler(machine.nvml.library, pace, machine.nvml.forks) as sampler:
        yield (part(sampler, latest),)


def _place(observation: Observation) -> LinkContext:
    facts = observation.snapshot.nvml
    remotes = {
        (gpu.uuid, link.link): link.remote or "" for gpu in (facts.gpus if facts else ()) for link in gpu.nvlinks
    }
    return LinkContext(remotes, observation.derived.nvlink_groups or ())
