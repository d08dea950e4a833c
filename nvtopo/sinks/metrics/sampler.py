"""The sampler on the metrics page: whether GPU counters are fresh, and what keeps them from the page if not."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.model.samples.gpu_counters import GpuTraffic
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

#: Why there are no fresh samples, or not of all GPUs.
REASONS: Final = ("starting", "hang", "died", "garbled", "driver", "stale", "gpu-lost", "failed")

_NO_DRIVER: Final = "the machine has no NVIDIA driver, or sampling is off"

UP = gauge(
    "nvtopo_sampler_up",
    "1 if the sampler has fresh GPU counters, 0 if not.",
    source="the counters worker's answers",
    absent=_NO_DRIVER,
)
PROBLEM = gauge(
    "nvtopo_sampler_problem",
    "1 for each reason why GPU counters are missing from the page, 0 for the other reasons.",
    ("reason",),
    source="the counters worker's answers, or their absence",
    absent=_NO_DRIVER,
)
SAMPLES = counter(
    "nvtopo_sampler_samples_total",
    "Number of samples that the sampler took, each of all GPUs.",
    source="the sampler",
    absent=_NO_DRIVER,
)
RESTARTS = counter(
    "nvtopo_sampler_restarts_total",
    "Number of counters workers that failed and were replaced.",
    source="the sampler",
    absent=_NO_DRIVER,
)
DURATION = gauge(
    "nvtopo_sampler_sample_duration_seconds",
    "How long the latest sample took, in seconds.",
    source="the clock, from question to answer",
    absent="there is no fresh sample",
)
SERIES = declared(globals())


class Sampled(NamedTuple):
    """The state of the sampler at a scrape."""

    gpus: tuple[GpuTraffic, ...] = ()
    reasons: frozenset[str] = frozenset()
    """Some of ``REASONS``."""
    samples: int = 0
    restarts: int = 0
    """Workers that had to be replaced."""
    sample_seconds: float | None = None
    """What the last sample took, from question to answer."""

    @property
    def up(self) -> bool:
        """Whether there are fresh samples."""
        return bool(self.gpus)


def families(sampled: Sampled) -> Iterator[Family]:
    """The families of the sampler itself."""
    yield one(UP, int(sampled.up))
    problem = Family(PROBLEM)
    for reason in REASONS:
        problem.add(int(reason in sampled.reasons), reason)
    yield problem
    yield one(SAMPLES, sampled.samples)
    yield one(RESTARTS, sampled.restarts)
    yield one(DURATION, sampled.sample_seconds)
