"""One sample of a GPU's counters, and the rates between samples: what the sampler and its metrics agree on.

Tuples run over the GPU's NVLinks from 0 on; None is a link, or a fact, that the driver does not answer for.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from nvtopo.model.records.record import Record

Counters = tuple[int | None, ...]
Rates = tuple[float | None, ...]


class GpuHealth(Record, frozen=True, kw_only=True):
    """What changes slowly or is read dearly, so not in each sample."""

    capacities: Counters = ()
    """Bytes per second and direction of each link, field 164; None where it is down."""
    errors: dict[str, Counters] = {}
    """Kind → errors since the driver was loaded, fields 161-163, or 206-212, 219 and 221."""
    recoveries: dict[str, Counters] = {}
    """``successful`` and ``failed``, fields 213 and 214."""
    bit_error_ratios: dict[str, Rates] = {}
    """``effective`` (after error correction) and ``symbol`` (before), fields 220 and 222."""
    c2c_active: Counters = ()
    """1 where a C2C link is up, 0 where not, field 171."""
    c2c_errors: dict[str, Counters] = {}
    """Kind → errors of each C2C link, fields 231-233."""
    pcie_replays: int | None = None
    """PCIe packets that were sent again, NVML field 94."""
    energy_joules: float | None = None
    """Energy used since the driver was loaded, NVML field 83."""
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limits_watts: dict[str, float] = {}
    """``enforced`` (the least of all limiters), ``requested``, ``default``, ``minimum`` and ``maximum``."""
    temperature_thresholds_celsius: dict[str, float] = {}
    """``shutdown``, ``slowdown``, ``memory_maximum`` and ``gpu_maximum``."""
    temperature_margin_celsius: float | None = None
    """Degrees up to the nearest threshold of slowdown; negative beyond it."""
    temperature_margin_thresholds_celsius: dict[str, float] = {}
    """The margins at which the same happens, fields 193-196 ("T.Limit"); may be negative."""
    clocks_hertz: dict[str, int] = {}
    """``sm`` and ``memory``."""
    clock_events: dict[str, bool] | None = None
    """Why the clocks are what they are: reason → whether it holds now."""


class GpuSample(Record, frozen=True, kw_only=True):
    """One GPU at one moment."""

    index: int
    """The number that NVML gives the GPU."""
    uuid: str
    at: float
    """Monotonic seconds."""
    sent: Counters = ()
    """Bytes, fields 202, 138 or 140."""
    received: Counters = ()
    """Bytes, fields 204, 139 or 141."""
    pcie_sent: int | None = None
    """Bytes, field 197."""
    pcie_received: int | None = None
    """Bytes, field 198."""
    health: GpuHealth | None = None
    """None where this sample left it out."""


class Step(NamedTuple):
    """What one interval between two samples amounts to."""

    at: float
    """When it ended, monotonic seconds."""
    seconds: float
    sent: Rates
    received: Rates


class Statistics(NamedTuple):
    """Bytes per second of each link over a window; None where no interval of it has a rate."""

    mean: Rates
    peak: Rates


class GpuTraffic(NamedTuple):
    """A GPU at the scrape: its last sample, its last health, and what its links did in the window."""

    sample: GpuSample
    health: GpuHealth
    sent: Statistics
    received: Statistics


class GpuHistory:
    """The samples of one GPU, as far back as the next window may reach."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()
        self._last: GpuSample | None = None
        self._health = GpuHealth()

    def add(self, sample: GpuSample, needed_since: float) -> None:
        """The next sample. Intervals that ended by ``needed_since`` are forgotten: no window will reach them."""
        before, self._last = self._last, sample
        self._health = sample.health or self._health
        if before is not None and sample.at > before.at:
            self._steps.append(step(before, sample))
        while self._steps and self._steps[0].at <= needed_since:
            self._steps.popleft()

    def traffic(self, since: float) -> GpuTraffic | None:
        """What happened in the intervals that ended after ``since``; None before the first sample."""
        if self._last is None:
            return None
        steps = [step for step in self._steps if step.at > since]
        seconds = [step.seconds for step in steps]
        sent = statistics(seconds, (step.sent for step in steps))
        return GpuTraffic(self._last, self._health, sent, statistics(seconds, (step.received for step in steps)))


def step(before: GpuSample, after: GpuSample) -> Step:
    """The rates between two samples. A counter that fell was reset or wrapped: that interval has no rate."""
    seconds = after.at - before.at
    sent = _rates(before.sent, after.sent, seconds)
    return Step(after.at, seconds, sent, _rates(before.received, after.received, seconds))


def _rates(before: Counters, after: Counters, seconds: float) -> Rates:
    if len(before) != len(after):
        return (None,) * len(after)
    return tuple(
        (new - old) / seconds if old is not None and new is not None and new >= old else None
        for old, new in zip(before, after, strict=True)
    )


def statistics(seconds: list[float], rates: Iterable[Rates]) -> Statistics:
    """Mean over time and peak of each link; ``rates`` has one tuple for each of ``seconds``."""
    links = [list(of_link) for of_link in zip(*rates, strict=False)]
    return Statistics(tuple(_mean(seconds, link) for link in links), tuple(_peak(link) for link in links))


def _mean(seconds: list[float], rates: list[float | None]) -> float | None:
    known = [(duration, rate) for duration, rate in zip(seconds, rates, strict=True) if rate is not None]
    covered = sum(duration for duration, _ in known)
    return sum(duration * rate for duration, rate in known) / covered if covered else None


def _peak(rates: list[float | None]) -> float | None:
    return max((rate for rate in rates if rate is not None), default=None)


def total(counters: Counters) -> int | None:
    """The sum, known only where every link's counter is: a sum that lacks a link would fall and look like a reset."""
    known = [counter for counter in counters if counter is not None]
    return sum(known) if known and len(known) == len(counters) else None


def shares(rates: Rates, capacities: Counters) -> Iterator[float | None]:
    """Rate by capacity, link by link."""
    for rate, capacity in zip(rates, islice(_padded(capacities), len(rates)), strict=True):
        yield rate / capacity if rate is not None and capacity else None


def _padded(capacities: Counters) -> Iterator[int | None]:
    yield from capacities
    while True:
        yield None
