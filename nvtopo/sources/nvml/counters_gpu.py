"""One GPU in the counters worker: finds its supported fields once, then reads them in one batch for each sample."""

import time
from typing import Any

from nvtopo.sources.nvml import counters_fields as fields
from nvtopo.sources.nvml import counters_limits as limits
from nvtopo.sources.nvml.asker import Json, present
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.counters_calls import Calls
from nvtopo.sources.nvml.counters_fields import Family
from nvtopo.sources.nvml.field_values import Key

#: More than any hardware has today, and small enough if a driver reports nonsense.
_MOST_LINKS = 256
_MILLI, _MEGAHERTZ = 1000, 1_000_000
_CLOCK_EVENTS = {
    "idle": pynvml.nvmlClocksEventReasonGpuIdle,
    "applications_clocks": pynvml.nvmlClocksEventReasonApplicationsClocksSetting,
    "software_power_cap": pynvml.nvmlClocksEventReasonSwPowerCap,
    "hardware_slowdown": pynvml.nvmlClocksEventReasonHwSlowdown,
    "sync_boost": pynvml.nvmlClocksEventReasonSyncBoost,
    "software_thermal": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    "hardware_thermal": pynvml.nvmlClocksEventReasonHwThermalSlowdown,
    "hardware_power_brake": pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown,
    "display": pynvml.nvmlClocksEventReasonDisplayClockSetting,
}
_DEVICE_TRAFFIC = [(fields.PCIE_SENT, 0), (fields.PCIE_RECEIVED, 0)]
_DEVICE_HEALTH = [(fields.PCIE_REPLAYS, 0), (fields.ENERGY_MILLIJOULES, 0), *limits.FIELDS]
_LINK_HEALTH = (fields.SPEED, *fields.ERRORS, *fields.RECOVERIES, *fields.BIT_ERROR_RATIOS)


class Gpu:
    """A GPU that opened. Unsupported values are asked for once; failed ones are asked for again."""

    def __init__(self, index: int, handle: Any) -> None:
        self.index = index
        self._handle = handle
        self.uuid: str = pynvml.nvmlDeviceGetUUID(handle)
        counts = fields.ask(handle, [(fields.LINK_COUNT, 0), (fields.C2C_COUNT, 0)]).values
        self._links = min(counts.get((fields.LINK_COUNT, 0), 0), _MOST_LINKS)
        self._c2c_links = min(counts.get((fields.C2C_COUNT, 0), 0), _MOST_LINKS)
        slow = self._slow_fields()
        candidates = [number for family in fields.TRAFFIC for number in (family.sent, family.received)]
        asked = fields.of_links(candidates, self._links) + slow + _DEVICE_TRAFFIC
        absent = fields.ask(handle, asked).absent
        self._family = _family(asked, absent, self._links)
        self._traffic = _known(self._traffic_fields() + _DEVICE_TRAFFIC, absent)
        self._health = _known(slow, absent)
        self._calls = Calls(handle)

    def _traffic_fields(self) -> list[Key]:
        family = self._family
        return fields.of_links((family.sent, family.received), self._links) if family else []

    def _slow_fields(self) -> list[Key]:
        c2c = fields.of_links((fields.C2C_STATUS, *fields.C2C_ERRORS), self._c2c_links)
        return fields.of_links(_LINK_HEALTH, self._links) + c2c + _DEVICE_HEALTH

    @property
    def failed(self) -> list[str]:
        """What the last sample asked for in vain: ``GPU2: nvmlDeviceGetPowerUsage: Unknown Error``."""
        return [f"GPU{self.index}: {what}" for what in self._calls.failed]

    def sample(self, *, health: bool) -> Json:
        """A ``GpuSample``. Raises Lost, and NVMLError where the driver fails."""
        before = time.monotonic()
        values, _, failed = fields.ask(self._handle, self._traffic + (self._health if health else []))
        self._calls.failed[:] = failed
        at = (before + time.monotonic()) / 2
        return present(
            {
                "index": self.index,
                "uuid": self.uuid,
                "at": at,
                **self._links_moved(values),
                "pcieSent": values.get((fields.PCIE_SENT, 0)),
                "pcieReceived": values.get((fields.PCIE_RECEIVED, 0)),
                "health": self._healthy(values) if health else None,
            }
        )

    def _links_moved(self, values: dict[Key, int]) -> Json:
        family = self._family
        if family is None:
            return {}
        sent, received = self._of_links(family.sent, values), self._of_links(family.received, values)
        return {"sent": _scaled(sent, family.unit_bytes), "received": _scaled(received, family.unit_bytes)}

    def _of_links(self, field: int, values: dict[Key, int], links: int | None = None) -> list[int | None]:
        return [values.get((field, link)) for link in range(self._links if links is None else links)]

    def _healthy(self, values: dict[Key, int]) -> Json:
        """A ``GpuHealth``."""
        energy = values.get((fields.ENERGY_MILLIJOULES, 0))
        ratios = self._named(fields.BIT_ERROR_RATIOS, values)
        return present(
            {
                "capacities": _scaled(
                    [speed or None for speed in self._of_links(fields.SPEED, values)], fields.MEGABYTE
                ),
                "errors": self._named(fields.ERRORS, values),
                "recoveries": self._named(fields.RECOVERIES, values),
                "bitErrorRatios": {kind: [*map(fields.bit_error_ratio, of_links)] for kind, of_links in ratios.items()},
                "c2cActive": self._of_links(fields.C2C_STATUS, values, self._c2c_links),
                "c2cErrors": self._named(fields.C2C_ERRORS, values, self._c2c_links),
                "pcieReplays": values.get((fields.PCIE_REPLAYS, 0)),
                "energyJoules": None if energy is None else energy / _MILLI,
                **self._thermal(),
                **limits.read(self._calls, values),
            }
        )

    def _named(
        self, names: dict[int, str], values: dict[Key, int], links: int | None = None
    ) -> dict[str, list[int | None]]:
        """Name → value of each link, for the fields that some link answers."""
        found = {name: self._of_links(field, values, links) for field, name in names.items()}
        return {name: of_links for name, of_links in found.items() if any(value is not None for value in of_links)}

    def _thermal(self) -> Json:
        ask = self._calls.number
        power = ask("nvmlDeviceGetPowerUsage")
        clocks = {
            "sm": ask("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM),
            "memory": ask("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM),
        }
        events = ask("nvmlDeviceGetCurrentClocksEventReasons")
        if events is None:  # its name before R535
            events = ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return {
            "temperatureCelsius": ask("nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU),
            "powerWatts": None if power is None else power / _MILLI,
            "clocksHertz": {name: mhz * _MEGAHERTZ for name, mhz in clocks.items() if mhz is not None},
            "clockEvents": events
            if events is None
            else {name: bool(events & bit) for name, bit in _CLOCK_EVENTS.items()},
        }


def _family(asked: list[Key], absent: frozenset[Key], links: int) -> Family | None:
    """The first family of which some link has both counters."""
    known = set(asked) - absent
    for family in fields.TRAFFIC:
        if any((family.sent, link) in known and (family.received, link) in known for link in range(links)):
            return family
    return None


def _known(asked: list[Key], absent: frozenset[Key]) -> list[Key]:
    return [key for key in asked if key not in absent]


def _scaled(counters: list[int | None], unit: int) -> list[int | None]:
    return [None if counter is None else counter * unit for counter in counters]
