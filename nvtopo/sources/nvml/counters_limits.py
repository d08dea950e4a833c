"""Limits of a GPU in the counters worker: how much power it may draw, and how hot it may be.

Absolute thresholds are what drivers answer of GPUs before Ada. Of later ones they answer a margin, and the margins at
which something happens: "T.Limit" of nvidia-smi, which may be negative.
"""

from types import MappingProxyType
from typing import Final

from nvtopo.sources.nvml.asker import Json, present
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.counters_calls import Calls
from nvtopo.sources.nvml.field_values import Key

_MILLI: Final = 1000
_POWER: Final = MappingProxyType(
    {
        "enforced": "nvmlDeviceGetEnforcedPowerLimit",
        "requested": "nvmlDeviceGetPowerManagementLimit",
        "default": "nvmlDeviceGetPowerManagementDefaultLimit",
    }
)
_THRESHOLDS: Final = MappingProxyType(
    {
        "shutdown": pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,
        "slowdown": pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,
        "memory_maximum": pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX,
        "gpu_maximum": pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX,
    }
)
_MARGINS: Final = MappingProxyType(
    {
        "shutdown": pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT,
        "slowdown": pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT,
        "memory_maximum": pynvml.NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT,
        "gpu_maximum": pynvml.NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT,
    }
)
FIELDS: Final[list[Key]] = [(field, 0) for field in _MARGINS.values()]
"""To be asked in the batch; their values are ``values`` of ``read``."""


def read(calls: Calls, values: dict[Key, int]) -> Json:
    """Members of a ``GpuHealth``."""
    power = {name: calls.number(function) for name, function in _POWER.items()}
    constraints = calls.ask("nvmlDeviceGetPowerManagementLimitConstraints")
    if constraints is not None:
        power["minimum"], power["maximum"] = constraints
    thresholds = {
        name: calls.number("nvmlDeviceGetTemperatureThreshold", number) for name, number in _THRESHOLDS.items()
    }
    return {
        "powerLimitsWatts": {name: limit / _MILLI for name, limit in power.items() if limit is not None},
        "temperatureThresholdsCelsius": present(thresholds),
        "temperatureMarginCelsius": calls.number("nvmlDeviceGetMarginTemperature"),
        "temperatureMarginThresholdsCelsius": present(
            {name: values.get((field, 0)) for name, field in _MARGINS.items()}
        ),
    }
