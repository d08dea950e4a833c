"""PCIe, heat and power of each GPU on the metrics page, from the sampler: few and right, beside the links they explain.

At most 31 series a GPU.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from nvtopo.model.samples.gpu_counters import GpuTraffic
from nvtopo.sinks.metrics.series import GPU, Family, Series, counter, declared, gauge

_SILENT: Final = "the GPU or its driver does not support it, or there is no fresh sample"

PCIE_SENT = counter(
    "nvtopo_pcie_transmitted_bytes_total",
    "Bytes that the GPU sent over PCIe.",
    GPU,
    source="NVML field 197",
    absent=_SILENT,
)
PCIE_RECEIVED = counter(
    "nvtopo_pcie_received_bytes_total",
    "Bytes that the GPU received over PCIe.",
    GPU,
    source="NVML field 198",
    absent=_SILENT,
)
PCIE_REPLAYS = counter(
    "nvtopo_pcie_replays_total",
    "Number of PCIe packets that were sent again.",
    GPU,
    source="NVML field 94",
    absent=_SILENT,
)
ENERGY = counter(
    "nvtopo_gpu_energy_joules_total",
    "Energy that the GPU used since the driver was loaded, in joules.",
    GPU,
    source="NVML field 83",
    absent=_SILENT,
)
TEMPERATURE = gauge(
    "nvtopo_gpu_temperature_celsius",
    "Temperature of the GPU's die, in degrees Celsius.",
    GPU,
    source="nvmlDeviceGetTemperature",
    absent=_SILENT,
)
POWER = gauge(
    "nvtopo_gpu_power_watts",
    "Power that the GPU draws, in watts.",
    GPU,
    source="nvmlDeviceGetPowerUsage",
    absent=_SILENT,
)
POWER_LIMIT = gauge(
    "nvtopo_gpu_power_limit_watts",
    "Power that the GPU may draw, in watts: enforced, requested, default, minimum or maximum. "
    "Enforced is the least of all limits in force.",
    (*GPU, "limit"),
    source="nvmlDeviceGetEnforcedPowerLimit, nvmlDeviceGetPowerManagementLimit, …DefaultLimit, …LimitConstraints",
    absent=_SILENT,
)
TEMPERATURE_THRESHOLD = gauge(
    "nvtopo_gpu_temperature_threshold_celsius",
    "Temperature at which the GPU slows down, shuts down, or exceeds what is meant for it or its memory, "
    "in degrees Celsius.",
    (*GPU, "threshold"),
    source="nvmlDeviceGetTemperatureThreshold",
    absent="the driver states margins instead (Ada and newer), or there is no fresh sample",
)
MARGIN = gauge(
    "nvtopo_gpu_temperature_margin_celsius",
    "How far the GPU is below the temperature at which it slows down, in degrees Celsius; negative above it.",
    GPU,
    source="nvmlDeviceGetMarginTemperature",
    absent="the GPU is older than Ada, its driver does not support it, or there is no fresh sample",
)
MARGIN_THRESHOLD = gauge(
    "nvtopo_gpu_temperature_margin_threshold_celsius",
    "Margin at which the GPU slows down, shuts down, or exceeds what is meant for it or its memory, "
    "in degrees Celsius. May be negative.",
    (*GPU, "threshold"),
    source="NVML fields 193-196, T.Limit of nvidia-smi",
    absent="the GPU is older than Ada, its driver does not support it, or there is no fresh sample",
)
CLOCK = gauge(
    "nvtopo_gpu_clock_hertz",
    "Current clock of the GPU in hertz: sm or memory.",
    (*GPU, "clock"),
    source="nvmlDeviceGetClockInfo",
    absent=_SILENT,
)
CLOCK_EVENT = gauge(
    "nvtopo_gpu_clock_event",
    "1 if this reason affects the GPU's clocks at the moment, 0 if not.",
    (*GPU, "reason"),
    source="nvmlDeviceGetCurrentClocksEventReasons, or …ThrottleReasons before R535",
    absent=_SILENT,
)
SERIES = declared(globals())

_FACTS: dict[Series, Callable[[GpuTraffic], float | None]] = {
    PCIE_SENT: lambda gpu: gpu.sample.pcie_sent,
    PCIE_RECEIVED: lambda gpu: gpu.sample.pcie_received,
    PCIE_REPLAYS: lambda gpu: gpu.health.pcie_replays,
    ENERGY: lambda gpu: gpu.health.energy_joules,
    TEMPERATURE: lambda gpu: gpu.health.temperature_celsius,
    POWER: lambda gpu: gpu.health.power_watts,
    MARGIN: lambda gpu: gpu.health.temperature_margin_celsius,
}
_BY_NAME: dict[Series, Callable[[GpuTraffic], Mapping[str, float]]] = {
    POWER_LIMIT: lambda gpu: gpu.health.power_limits_watts,
    TEMPERATURE_THRESHOLD: lambda gpu: gpu.health.temperature_thresholds_celsius,
    MARGIN_THRESHOLD: lambda gpu: gpu.health.temperature_margin_thresholds_celsius,
    CLOCK: lambda gpu: gpu.health.clocks_hertz,
    CLOCK_EVENT: lambda gpu: {name: int(holds) for name, holds in (gpu.health.clock_events or {}).items()},
}


def families(gpus: Sequence[GpuTraffic]) -> Iterator[Family]:
    """The families of these GPUs."""
    for series, fact in _FACTS.items():
        family = Family(series)
        for gpu in gpus:
            family.add(fact(gpu), str(gpu.sample.index), gpu.sample.uuid)
        yield family
    for series, named in _BY_NAME.items():
        family = Family(series)
        for gpu in gpus:
            for name, value in named(gpu).items():
                family.add(value, str(gpu.sample.index), gpu.sample.uuid, name)
        yield family
