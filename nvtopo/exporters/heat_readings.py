"""What Prometheus is asked of the GPUs of some nodes, and what its answers say: pure functions.

Agents' series have the labels ``gpu`` and ``UUID``; the scrape configuration adds ``node``. Each figure is one
query that answers with the value of each series and with the time of its latest sample.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.wire.prometheus import Sample

FRESH_SECONDS: Final = 120.0
"""What is older is not known: four scrapes at the slowest interval that is common."""
MOST_NODES: Final = 256
"""In one query."""
WINDOW: Final = "2m"
"""In which two scrapes are looked for. ``rate`` would divide by all of it, also where the series is younger."""
_PART: Final = "nvtopo_part"
_VALUE, _AT = "value", "at"
#: Heat first, then power; the last one is a GPU that draws what it may.
REASONS: Final = (
    "hardware_thermal",
    "software_thermal",
    "hardware_slowdown",
    "hardware_power_brake",
    "software_power_cap",
)
_SLOWED: Final = f'reason=~"{"|".join(REASONS)}"'
#: Labels that differ between the two parts of one series.
_OF_PART: Final = frozenset({"__name__", "reason", _PART})


class Figure(NamedTuple):
    """The latest of one GPU."""

    value: float
    age_seconds: float
    reasons: tuple[str, ...] = ()


Readings = Mapping[str, Mapping[tuple[str, str], Figure]]
"""Figure → node and UUID of a GPU → what is said of it."""


def batches(nodes: Iterable[str]) -> list[list[str]]:
    """The nodes as queries name them."""
    found = sorted(set(nodes))
    return [found[start : start + MOST_NODES] for start in range(0, len(found), MOST_NODES)]


def queries(nodes: Iterable[str]) -> dict[str, str]:
    """Figure → PromQL of it for these nodes."""
    of = f"node=~{_quoted('|'.join(map(re.escape, nodes)))}"
    temperature = f"nvtopo_gpu_temperature_celsius{{{of}}}"
    limit = f'nvtopo_gpu_temperature_threshold_celsius{{threshold="slowdown", {of}}}'
    margin = f"(nvtopo_gpu_temperature_margin_celsius{{{of}}} or (max without (threshold) ({limit}) - {temperature}))"
    slowed = f"nvtopo_gpu_clock_event{{{_SLOWED}, {of}}}"
    sent, received = (f"nvtopo_gpu_nvlink_{one}_bytes_total{{{of}}}" for one in ("transmitted", "received"))
    return {
        "temperature": _both(temperature, f"timestamp({temperature})"),
        "margin": _both(margin, f"timestamp({temperature})"),
        "slowdown": _both(f"{slowed} == 1", f"min without (reason) (timestamp({slowed}))"),
        "sent": _both(f"irate({sent}[{WINDOW}])", f"timestamp({sent})"),
        "received": _both(f"irate({received}[{WINDOW}])", f"timestamp({received})"),
    }


def read(figure: str, samples: Iterable[Sample], nodes: Iterable[str]) -> dict[tuple[str, str], Figure]:
    """What an answer says of these nodes. Of several series of one GPU the one with the latest sample counts."""
    asked, series = frozenset(nodes), dict[frozenset[tuple[str, str]], list[Sample]]()
    for sample in samples:
        if sample.labels.get("node") in asked and sample.labels.get("UUID"):
            key = frozenset(item for item in sample.labels.items() if item[0] not in _OF_PART)
            series.setdefault(key, []).append(sample)
    found: dict[tuple[str, str], Figure] = {}
    for parts in series.values():
        labels, one = parts[0].labels, _figure(figure, parts)
        gpu = (labels["node"], labels["UUID"])
        if one is not None and (gpu not in found or one.age_seconds < found[gpu].age_seconds):
            found[gpu] = one
    return found


def _figure(figure: str, parts: list[Sample]) -> Figure | None:
    ages = [one.at - one.value for one in parts if one.labels.get(_PART) == _AT]
    values = [one for one in parts if one.labels.get(_PART) == _VALUE]
    if len(ages) != 1 or not 0 <= ages[0] <= FRESH_SECONDS:
        return None
    if figure == "slowdown":
        said = {one.labels.get("reason") for one in values}
        return Figure(len(said), ages[0], tuple(reason for reason in REASONS if reason in said))
    return Figure(values[0].value, ages[0]) if len(values) == 1 else None


def _both(value: str, at: str) -> str:
    return " or ".join(_labelled(*one) for one in ((value, _VALUE), (at, _AT)))


def _labelled(expression: str, part: str) -> str:
    return f'label_replace({expression}, "{_PART}", "{part}", "", "")'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
