"""Modes and error counters of a GPU, asked in the NVML worker for ``doctor`` and ``capture``.

No label follows from them, so what the driver refuses is no problem of the reading: it is listed in ``refused``.
"""

from collections.abc import Callable
from typing import Any, Final

from nvtopo.sources.nvml import counters_fields as fields
from nvtopo.sources.nvml.asker import ABSENT, LOST, Json, Lost, present
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.field_values import Key

_BIT_ERROR_RATIO: Final = pynvml.NVML_FI_DEV_NVLINK_COUNT_EFFECTIVE_BER
_COUNTS: Final = {**fields.ERRORS, pynvml.NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS: "recovery_failed"}
_MOST_LINKS: Final = 64
#: The exponent of a ratio that is none: 15e-255.
_NONE_SEEN: Final = 0xFF
_MIG: Final = {pynvml.NVML_DEVICE_MIG_DISABLE: False, pynvml.NVML_DEVICE_MIG_ENABLE: True}
_REFUSED: Final = "refused"


def upkeep(handle: Any, links: int) -> Json:
    """A ``GpuUpkeep`` of a GPU with so many links. Raises Lost if the GPU is gone."""
    refused: dict[str, str] = {}
    ecc = _ask(refused, "ecc", pynvml.nvmlDeviceGetEccMode, handle)
    kinds = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    persistence = _ask(refused, "persistence", pynvml.nvmlDeviceGetPersistenceMode, handle)
    mig = _ask(refused, "migPending", pynvml.nvmlDeviceGetMigMode, handle)
    return present(
        {
            "migPending": _MIG.get(mig[1]) if mig is not None else None,
            "persistence": None if persistence is None else bool(persistence),
            "ecc": None if ecc is None else bool(ecc[0]),
            "eccPending": None if ecc is None else bool(ecc[1]),
            "uncorrectedErrors": _ask(refused, "uncorrectedErrors", pynvml.nvmlDeviceGetTotalEccErrors, handle, *kinds),
            "links": _links(refused, handle, min(links, _MOST_LINKS)),
            _REFUSED: refused or None,
        }
    )


def _ask(refused: dict[str, str], name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise Lost(str(error)) from error
        if error.value not in ABSENT:
            refused[name] = f"{call.__name__}: {error}"
        return None


def _links(refused: dict[str, str], handle: Any, links: int) -> list[Json] | None:
    """The links that counted something; None if none has such a counter, or the driver refuses them all."""
    asked = fields.of_links((*_COUNTS, _BIT_ERROR_RATIO), links)
    try:
        values, _, failed = fields.ask(handle, asked)
    except pynvml.NVMLError as error:
        refused["links"] = f"nvmlDeviceGetFieldValues: {error}"
        return None
    if failed:
        refused["links"] = f"nvmlDeviceGetFieldValues: {', '.join(failed)}"
    if not values:
        return None
    return [said for link in range(links) if len(said := _link(link, values)) > 1]


def _link(link: int, values: dict[Key, int]) -> Json:
    counts = {name: value for field, name in _COUNTS.items() if (value := values.get((field, link)))}
    packed = values.get((_BIT_ERROR_RATIO, link))
    ratio = None if packed is None or packed & _NONE_SEEN == _NONE_SEEN else fields.bit_error_ratio(packed)
    return present({"link": link, "counts": counts or None, "effectiveBitErrorRatio": ratio or None})
