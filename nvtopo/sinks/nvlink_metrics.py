"""What the sampler knows, on the metrics page: NVLink by link, PCIe, heat and power by GPU, and the sampler itself.

Series of a GPU with L links: 2 L bytes, 4 L utilisation, up to 9 L errors, 2 L recoveries and 2 L bit error ratios,
and 19 of its own. With 8 GPUs of 18 links that is at most 2,888 and, on Hopper, with three kinds of errors, 1,448;
the labels' values are bounded by what is soldered in. The sampler has eleven.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from nvtopo.model.gpu_counters import Counters, GpuTraffic, Rates, Statistics, shares, total

#: Why there are no fresh samples, or not of all GPUs.
REASONS = ("starting", "hang", "died", "garbled", "driver", "stale", "gpu-lost")

_GPU = ["gpu", "UUID"]
_LINK = [*_GPU, "link", "remote"]

Remotes = Mapping[tuple[str, int], str]
"""What is on the other side of a GPU's link, by UUID and link."""


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


def families(sampled: Sampled, remotes: Remotes) -> Iterator[Metric]:
    """The families that have series."""
    for family in (
        *_sampler(sampled),
        *_bytes(sampled.gpus, remotes),
        *_utilisation(sampled.gpus, remotes),
        *_errors(sampled.gpus, remotes),
        *_device(sampled.gpus),
        *_thermal(sampled.gpus),
    ):
        if family.samples:
            yield family


def _sampler(sampled: Sampled) -> Iterator[Metric]:
    yield GaugeMetricFamily("nvtopo_sampler_up", "1 while GPU counters are sampled and fresh.", float(sampled.up))
    problem = GaugeMetricFamily(
        "nvtopo_sampler_problem", "1 for what keeps GPU counters from the page.", labels=["reason"]
    )
    for reason in REASONS:
        problem.add_metric([reason], float(reason in sampled.reasons))
    yield problem
    yield CounterMetricFamily("nvtopo_sampler_samples", "Samples of all GPUs.", sampled.samples)
    yield CounterMetricFamily("nvtopo_sampler_restarts", "Workers that had to be replaced.", sampled.restarts)
    took = GaugeMetricFamily("nvtopo_sampler_sample_duration_seconds", "How long the last sample took.", labels=[])
    if sampled.sample_seconds is not None:
        took.add_metric([], sampled.sample_seconds)
    yield took


def _bytes(gpus: Sequence[GpuTraffic], remotes: Remotes) -> Iterator[Metric]:
    sent = CounterMetricFamily("nvtopo_nvlink_transmitted_bytes", "Sent over one NVLink.", labels=_LINK)
    received = CounterMetricFamily("nvtopo_nvlink_received_bytes", "Received over one NVLink.", labels=_LINK)
    for gpu in gpus:
        _add_links(sent, gpu, gpu.sample.sent, remotes)
        _add_links(received, gpu, gpu.sample.received, remotes)
    yield sent
    yield received


def _utilisation(gpus: Sequence[GpuTraffic], remotes: Remotes) -> Iterator[Metric]:
    words = "{} rate of one NVLink by its capacity, between scrapes (15 s at least)."
    labels = [*_LINK, "statistic"]
    sent = GaugeMetricFamily("nvtopo_nvlink_transmit_utilisation_ratio", words.format("Send"), labels=labels)
    received = GaugeMetricFamily("nvtopo_nvlink_receive_utilisation_ratio", words.format("Receive"), labels=labels)
    for gpu in gpus:
        _add_shares(sent, gpu, gpu.sent, remotes)
        _add_shares(received, gpu, gpu.received, remotes)
    yield sent
    yield received


def _add_shares(family: GaugeMetricFamily, gpu: GpuTraffic, statistics: Statistics, remotes: Remotes) -> None:
    for name, rates in (("mean", statistics.mean), ("peak", statistics.peak)):
        _add_links(family, gpu, tuple(shares(rates, gpu.health.capacities)), remotes, name)


def _errors(gpus: Sequence[GpuTraffic], remotes: Remotes) -> Iterator[Metric]:
    errors = CounterMetricFamily("nvtopo_nvlink_errors", "Errors of one NVLink.", labels=[*_LINK, "kind"])
    recoveries = CounterMetricFamily(
        "nvtopo_nvlink_recoveries", "Times that one NVLink was trained anew.", labels=[*_LINK, "result"]
    )
    ratios = GaugeMetricFamily(
        "nvtopo_nvlink_bit_error_ratio", "Errors by bits, before and after correction.", labels=[*_LINK, "kind"]
    )
    for gpu in gpus:
        for kind, errors_of_links in gpu.health.errors.items():
            _add_links(errors, gpu, errors_of_links, remotes, kind)
        for result, recoveries_of_links in gpu.health.recoveries.items():
            _add_links(recoveries, gpu, recoveries_of_links, remotes, result)
        for kind, ratios_of_links in gpu.health.bit_error_ratios.items():
            _add_links(ratios, gpu, ratios_of_links, remotes, kind)
    yield errors
    yield recoveries
    yield ratios


def _add_links(
    family: CounterMetricFamily | GaugeMetricFamily,
    gpu: GpuTraffic,
    values: Counters | Rates,
    remotes: Remotes,
    *more: str,
) -> None:
    index, uuid = str(gpu.sample.index), gpu.sample.uuid
    for link, value in enumerate(values):
        if value is not None:
            family.add_metric([index, uuid, str(link), remotes.get((uuid, link), ""), *more], value)


def _device(gpus: Sequence[GpuTraffic]) -> Iterator[Metric]:
    """Sums over links, and PCIe."""
    counters = {
        "nvtopo_gpu_nvlink_transmitted_bytes": "Sent over all NVLinks of a GPU.",
        "nvtopo_gpu_nvlink_received_bytes": "Received over all NVLinks of a GPU.",
        "nvtopo_pcie_transmitted_bytes": "Sent by a GPU over PCIe.",
        "nvtopo_pcie_received_bytes": "Received by a GPU over PCIe.",
        "nvtopo_pcie_replays": "PCIe packets that were sent again.",
        "nvtopo_gpu_energy_joules": "Energy since the driver was loaded.",
    }
    families = [CounterMetricFamily(name, words, labels=_GPU) for name, words in counters.items()]
    for gpu in gpus:
        sample, health = gpu.sample, gpu.health
        values = (
            total(sample.sent),
            total(sample.received),
            sample.pcie_sent,
            sample.pcie_received,
            health.pcie_replays,
            health.energy_joules,
        )
        for family, value in zip(families, values, strict=True):
            _add(family, gpu, value)
    yield from families


def _thermal(gpus: Sequence[GpuTraffic]) -> Iterator[Metric]:
    temperature = GaugeMetricFamily("nvtopo_gpu_temperature_celsius", "Of the GPU's die.", labels=_GPU)
    power = GaugeMetricFamily("nvtopo_gpu_power_watts", "What the GPU draws.", labels=_GPU)
    clocks = GaugeMetricFamily("nvtopo_gpu_clock_hertz", "Current clock.", labels=[*_GPU, "clock"])
    events = GaugeMetricFamily(
        "nvtopo_gpu_clock_event", "1 for each reason why the clocks are what they are.", labels=[*_GPU, "reason"]
    )
    for gpu in gpus:
        _add(temperature, gpu, gpu.health.temperature_celsius)
        _add(power, gpu, gpu.health.power_watts)
        for clock, hertz in gpu.health.clocks_hertz.items():
            _add(clocks, gpu, hertz, clock)
        for reason, holds in (gpu.health.clock_events or {}).items():
            _add(events, gpu, float(holds), reason)
    yield temperature
    yield power
    yield clocks
    yield events


def _add(family: CounterMetricFamily | GaugeMetricFamily, gpu: GpuTraffic, value: float | None, *more: str) -> None:
    if value is not None:
        family.add_metric([str(gpu.sample.index), gpu.sample.uuid, *more], value)
