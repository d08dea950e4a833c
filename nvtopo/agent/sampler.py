"""GPU counters, sampled beside the loop as long as somebody scrapes them; a scrape itself never asks the driver.

A thread asks the worker at each tick, with a deadline. What it has at the scrape is what is on the page: nothing where
the driver hangs, the worker died, or nobody scraped for a while and the driver was let go (decision 6).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

from nvtopo.model.gpu_counters import GpuHistory
from nvtopo.sinks.metrics import gpus as gpu_metrics
from nvtopo.sinks.metrics import nvlink as nvlink_metrics
from nvtopo.sinks.metrics import sampler as sampler_metrics
from nvtopo.sinks.metrics.nvlink import Place
from nvtopo.sinks.metrics.observation import Observation, once_for_each
from nvtopo.sinks.metrics.sampler import Sampled
from nvtopo.sinks.metrics.series import Family, Part
from nvtopo.sources import nvml
from nvtopo.sources.machine import Machine
from nvtopo.sources.nvml_counters import Answer, CountersWorker, NoAnswer

logger = logging.getLogger(__name__)

#: A scrape reaches back this far at least: a second Prometheus, or a curious human, hides no burst from the first.
_LEAST_WINDOW_SECONDS = 15.0
_TIDY_SECONDS = 0.2
#: A worker that the kernel keeps can't be waited for: the end of the agent has 2 s in all.
_JOIN_SECONDS = 0.5
#: How late a sample may be beyond its interval and its deadline before the page does without.
_SLACK_SECONDS = 1.0


class Pace(NamedTuple):
    """The sampler's times, in seconds."""

    interval: float = 1.0
    """Between samples."""
    health: float = 5.0
    """Between those samples that read errors, heat and power too."""
    idle: float = 300.0
    """Without a scrape for so long, the driver is let go."""
    deadline: float = 3.0
    """For an answer."""
    start: float = nvml.DEADLINE_SECONDS
    """For a worker's first answer: without persistence mode the driver wakes its GPUs first."""
    backoff: float = 1.0
    """Before the next worker, doubled each time."""
    longest_backoff: float = 60.0
    """Also how often a worker is replaced while a GPU is lost: handles do not outlive a reset."""


class Sampler:
    """Samples from the first scrape on, while it is entered."""

    def __init__(self, library: str, pace: Pace | None = None) -> None:
        self._library = library
        self._pace = pace or Pace()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._changed = threading.Condition()
        self._stopped = False
        self._scraped = -float("inf")
        self._histories: dict[str, GpuHistory] = {}
        self._state = Sampled(reasons=frozenset({"starting"}))
        self._fresh_until = 0.0
        self._worker: CountersWorker | None = None
        self._present = nvml.library_present(library)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(_TIDY_SECONDS)
        worker = self._worker
        if self._thread.is_alive() and worker is not None:
            worker.kill()  # the thread waits for its answer, and this is one
        self._thread.join(_JOIN_SECONDS)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def worker_pid(self) -> int | None:
        """The worker's process; None where there is none."""
        worker = self._worker
        return worker.pid if worker else None

    def scrape(self) -> Sampled | None:
        """What there is now; None where there is no driver to ask. Keeps the sampler awake, and never waits for it."""
        with self._changed:
            now = time.monotonic()
            since, self._scraped = self._scraped, now
            self._changed.notify_all()
            if not self._present:
                return None
            if now > self._fresh_until:
                return self._state._replace(gpus=(), reasons=self._state.reasons or frozenset({"stale"}))
            window = _window(since)
            found = [history.traffic(window) for history in self._histories.values()]
            return self._state._replace(gpus=tuple(traffic for traffic in found if traffic))

    def wait(self, condition: Callable[[Sampled], bool], seconds: float) -> bool:
        """Wait until the state is so; False where it is not in time."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._state), seconds)

    def _run(self) -> None:
        stuck: CountersWorker | None = None
        backoff = self._pace.backoff
        while self._sleep_until_wanted():
            samples = self._state.samples
            if stuck is None or stuck.ended:
                stuck = self._session()
            if self._state.samples > samples:
                backoff = self._pace.backoff
            if not self._fresh():
                self._pause(backoff)
                backoff = min(2 * backoff, self._pace.longest_backoff)
        self._let_go()

    def _session(self) -> CountersWorker | None:
        """One worker's life. Returns it where the kernel keeps it: then no second one joins it there."""
        present = nvml.library_present(self._library)
        with self._changed:
            self._present = present
        if not present:
            return None
        try:
            self._worker = worker = CountersWorker(self._library)
        except OSError as error:
            self._failed(NoAnswer("died", f"cannot start the counters worker: {error.strerror}"))
            return None
        kill = False
        try:
            self._sample(worker)
        except NoAnswer as error:
            kill = True
            self._failed(error)
        finally:
            self._worker = None
            ended = worker.end(kill=kill)
        return None if ended else worker

    def _sample(self, worker: CountersWorker) -> None:
        """Sample until nobody wants it, or a lost GPU makes a new worker worth its start."""
        began = time.monotonic()
        patience, next_health = self._pace.start, began
        while self._wanted():
            asked = time.monotonic()
            health = asked >= next_health
            answer = worker.ask(health=health, seconds=patience)
            self._take(answer, time.monotonic() - asked)
            next_health = asked + self._pace.health if health else next_health
            patience = self._pace.deadline
            if answer.lost and asked > began + self._pace.longest_backoff:
                return
            self._pause(asked + self._pace.interval - time.monotonic())

    def _take(self, answer: Answer, seconds: float) -> None:
        """The next sample; a GPU that is not in it has no series from here on."""
        histories = {gpu.uuid: self._histories.get(gpu.uuid) or GpuHistory() for gpu in answer.gpus}
        reasons = frozenset({"gpu-lost"} if answer.lost else ())
        self._log(reasons, f"{answer.lost} GPUs do not answer" if answer.lost else "")
        with self._changed:
            window = _window(self._scraped)
            for gpu in answer.gpus:
                histories[gpu.uuid].add(gpu, needed_since=window)
            self._histories = histories
            self._fresh_until = time.monotonic() + self._pace.interval + self._pace.deadline + _SLACK_SECONDS
            self._state = self._state._replace(reasons=reasons, samples=self._state.samples + 1, sample_seconds=seconds)
            self._changed.notify_all()

    def _failed(self, error: NoAnswer) -> None:
        if not self._stopped:
            self._log(frozenset({error.reason}), str(error))
        self._forget(error.reason, restarts=1)

    def _forget(self, reason: str, *, restarts: int = 0) -> None:
        """Nothing sampled so far is fresh."""
        with self._changed:
            self._histories = {}
            self._fresh_until = 0.0
            self._state = self._state._replace(
                reasons=frozenset({reason}), restarts=self._state.restarts + restarts, sample_seconds=None
            )
            self._changed.notify_all()

    def _log(self, reasons: frozenset[str], words: str) -> None:
        """Transitions only."""
        before = self._state.reasons - {"starting"}
        if reasons - before:
            logger.warning("cannot sample", extra={"source": "sampler", "reason": words})
        elif before - reasons:
            logger.info("samples again", extra={"source": "sampler"})

    def _sleep_until_wanted(self) -> bool:
        """Let go of the driver while nobody scrapes. False where the sampler is told to stop."""
        if not self._wanted():
            self._let_go()
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._wanted())
        return not self._stopped

    def _let_go(self) -> None:
        self._forget("starting")

    def _wanted(self) -> bool:
        return not self._stopped and time.monotonic() < self._scraped + self._pace.idle

    def _fresh(self) -> bool:
        return time.monotonic() < self._fresh_until

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, max(0.0, seconds))


def part(sampler: Sampler, latest: Callable[[], Observation | None]) -> Part:
    """The part of the page that is sampled; the observation knows what is on the other side of a link."""
    placed = once_for_each(latest, _place)

    def now() -> Iterator[Family]:
        sampled = sampler.scrape()
        if sampled is None:
            return
        yield from sampler_metrics.families(sampled)
        yield from nvlink_metrics.families(sampled.gpus, placed() or Place())
        yield from gpu_metrics.families(sampled.gpus)

    return now


@contextmanager
def sampling(
    machine: Machine, latest: Callable[[], Observation | None], interval_seconds: float = 1.0
) -> Iterator[tuple[Part, ...]]:
    """Sample the driver that this machine asks: yields a part of the page, or none where it asks none or every 0 s."""
    if not isinstance(machine.nvml, nvml.NvmlWorker) or not interval_seconds:
        yield ()
        return
    pace = Pace(interval=interval_seconds, start=machine.nvml.deadline_seconds)
    with Sampler(machine.nvml.library, pace) as sampler:
        yield (part(sampler, latest),)


def _window(scraped: float) -> float:
    """Since when traffic counts: the last scrape, or a little longer."""
    return min(scraped, time.monotonic() - _LEAST_WINDOW_SECONDS)


def _place(observation: Observation) -> Place:
    facts = observation.snapshot.nvml
    remotes = {
        (gpu.uuid, link.link): link.remote or "" for gpu in (facts.gpus if facts else ()) for link in gpu.nvlinks
    }
    return Place(remotes, observation.derived.nvlink_groups or ())
