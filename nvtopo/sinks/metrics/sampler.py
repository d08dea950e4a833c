"""The sampler on the metrics page: whether GPU counters are fresh, and what keeps them from the page if not."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.model.gpu_counters import GpuTraffic
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

#: Why there are no fresh samples, or not of all GPUs.
REASONS: Final = ("starting", "hang", "died", "garbled", "driver", "stale", "gpu-lost")

_NO_DRIVER: Final = "the machine has no NVIDIA driver, or sampling is off"

UP = gauge(
    "nvtopo_sampler_up",
    "1 while GPU counters are sampled and fresh.",
    source="the counters worker's answers",
    absent=_NO_DRIVER,
)
PROBLEM = gauge(
    "nvtopo_sampler_problem",
    "1 for what keeps GPU counters from the page.",
    ("reason",),
    source="the counters worker's answers, or that there are none",
    absent=_NO_DRIVER,
)
SAMPLES = counter("nvtopo_sampler_samples_total", "Samples of all GPUs.", source="the sampler", absent=_NO_DRIVER)
RESTARTS = counter(
    "nvtopo_sampler_restarts_total", "Workers that had to be replaced.", source="the sampler", absent=_NO_DRIVER
)
DURATION = gauge(
    "nvtopo_sampler_sample_duration_seconds",
    "How long the last sample took.",
    source="the clock, from question to answer",
    absent="there is no fresh sample",
)
SERIES = declared(globals())


class Sampled(NamedTuple):
    """What the sampler has at a scrape."""

    gpus: tuple[GpuTraffic, ...] = ()
    reasons: frozenset[str] = frozenset()
    """Of ``REASONS``."""
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
    """The sampler itself."""
    yield one(UP, int(sampled.up))
    problem = Family(PROBLEM)
    for reason in REASONS:
        problem.add(int(reason in sampled.reasons), reason)
    yield problem
    yield one(SAMPLES, sampled.samples)
    yield one(RESTARTS, sampled.restarts)
    yield one(DURATION, sampled.sample_seconds)
