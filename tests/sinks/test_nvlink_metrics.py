"""The families of a sample: names, labels, what is absent, and how many there can be."""

from nvtopo.model.samples.gpu_counters import GpuHealth, GpuSample, GpuTraffic, Statistics
from nvtopo.sinks.metrics import gpus as gpu_metrics
from nvtopo.sinks.metrics import nvlink as nvlink_metrics
from nvtopo.sinks.metrics import sampler as sampler_metrics
from nvtopo.sinks.metrics.nvlink import LinkContext
from nvtopo.sinks.metrics.sampler import Sampled
from nvtopo.sinks.metrics.series import text as page_text

LINKS = 18
KINDS = [f"kind_{number}" for number in range(9)]


def gpu(index: int, health: GpuHealth, links: int = LINKS) -> GpuTraffic:
    sample = GpuSample(
        index=index,
        uuid=f"GPU-{index}",
        at=1,
        sent=tuple(range(links)),
        received=(7,) * links,
        pcie_sent=1,
        pcie_received=2,
        health=health,
    )
    rates = Statistics((5.0,) * links, (10.0,) * links)
    return GpuTraffic(sample, health, rates, rates)


THRESHOLDS = ("shutdown", "slowdown", "memory_maximum", "gpu_maximum")


def everything() -> GpuHealth:
    return GpuHealth(
        capacities=(20,) * LINKS,
        errors=dict.fromkeys(KINDS, (0,) * LINKS),
        recoveries=dict.fromkeys(("successful", "failed"), (0,) * LINKS),
        bit_error_ratios=dict.fromkeys(("effective", "symbol"), (1e-12,) * LINKS),
        pcie_replays=0,
        energy_joules=1.5,
        temperature_celsius=40,
        power_watts=70,
        power_limits_watts=dict.fromkeys(("enforced", "requested", "default", "minimum", "maximum"), 700.0),
        temperature_thresholds_celsius=dict.fromkeys(THRESHOLDS, 90.0),
        temperature_margin_celsius=50,
        temperature_margin_thresholds_celsius=dict.fromkeys(THRESHOLDS, -2.0),
        clocks_hertz={"sm": 1, "memory": 2},
        clock_events=dict.fromkeys(map(str, range(9)), False),
    )


def text(sampled: Sampled) -> str:
    parts = (
        sampler_metrics.families(sampled),
        nvlink_metrics.families(sampled.gpus, LinkContext({("GPU-0", 3): "switch"}, ((0, 1),))),
        gpu_metrics.families(sampled.gpus),
    )
    return page_text(family for part in parts for family in part)


def series(sampled: Sampled) -> list[str]:
    return [line for line in text(sampled).splitlines() if not line.startswith("#")]


def test_labels_and_values() -> None:
    page = text(Sampled((gpu(0, everything()),)))
    assert 'nvtopo_nvlink_transmitted_bytes_total{gpu="0",UUID="GPU-0",link="3",remote="switch"} 3' in page
    assert 'nvtopo_nvlink_errors_total{gpu="0",UUID="GPU-0",link="3",remote="switch",kind="kind_8"} 0' in page
    assert 'nvtopo_nvlink_bit_error_ratio{gpu="0",UUID="GPU-0",link="3",remote="switch",kind="symbol"} 1e-12' in page
    utilisation = 'utilisation_ratio{gpu="0",UUID="GPU-0",link="3",remote="switch",statistic='
    assert f'nvtopo_nvlink_transmit_{utilisation}"peak"}} 0.5' in page
    assert f'nvtopo_nvlink_receive_{utilisation}"mean"}} 0.25' in page
    assert 'nvtopo_gpu_nvlink_transmitted_bytes_total{gpu="0",UUID="GPU-0"} 153' in page


def test_a_machine_with_everything_has_as_many_series_as_the_modules_say() -> None:
    assert (
        len(series(Sampled(tuple(gpu(index, everything()) for index in range(8)), sample_seconds=1)))
        == 2752 + 2 + 8 * 31 + 12
    )


def test_nothing_known_is_nothing_said() -> None:
    bare = GpuTraffic(GpuSample(index=0, uuid="GPU-0", at=1), GpuHealth(), Statistics((), ()), Statistics((), ()))
    assert all(line.startswith("nvtopo_sampler") for line in series(Sampled((bare,))))


def test_without_a_capacity_there_is_no_utilisation() -> None:
    assert "utilisation" not in text(Sampled((gpu(0, GpuHealth()),)))


def test_a_link_that_does_not_answer_has_no_series_and_its_gpu_no_sum() -> None:
    whole = gpu(0, GpuHealth())
    page = text(Sampled((whole._replace(sample=GpuSample(index=0, uuid="GPU-0", at=1, sent=(None, 5))),)))
    assert 'nvtopo_nvlink_transmitted_bytes_total{gpu="0",UUID="GPU-0",link="1"} 5' in page
    assert 'link="0"' not in "".join(line for line in page.splitlines() if "transmitted" in line)
    assert "nvtopo_gpu_nvlink_transmitted_bytes_total{" not in page
