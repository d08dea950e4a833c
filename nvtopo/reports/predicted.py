"""Predicted beside measured, placement by placement: as a table, as JSON, and as links for the next prediction."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from nvtopo.placement import beside
from nvtopo.placement.beside import Beside, Comparison
from nvtopo.placement.measured_links import with_rates

_HEAD: Final = ("PLACEMENT", "GPUS", "INSIDE", "DOMAINS", "PREDICTED", "MEASURED", "RATIO")


def table(found: Comparison) -> str:
    """One line for each run, then what was matched with nothing."""
    rows = [_HEAD, *map(_row, found.runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(f"Not compared: {name}." for name in found.unmatched)]) + "\n"


def as_json(found: Comparison) -> str:
    """One object."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def links(found: Comparison) -> str:
    """What ``simulate --links`` reads, and ``links`` of a PlacementRequest: JSON, which is YAML too."""
    measured = with_rates(beside.rates(found), {})
    wishes = {
        level: {"latencyNanoseconds": link.latency_ps / 1000, "gigabytesPerSecond": link.bytes_per_second / 1e9}
        for level, link in measured.items()
    }
    return msgspec.json.encode(wishes).decode() + "\n"


def _row(row: Beside) -> tuple[str, ...]:
    return (
        row.placement,
        str(row.gpus),
        row.level,
        ", ".join(f"{tier} {count}" for tier, count in row.domains.items()),
        _rate(row.predicted_bytes_per_second),
        _rate(row.measured_bytes_per_second),
        "?" if row.ratio is None else f"{row.ratio:.0%}",
    )


def _rate(value: int | None) -> str:
    return "?" if value is None else f"{value / 1e9:.1f} GB/s"


FORMATS: Final[Mapping[str, Callable[[Comparison], str]]] = {"text": table, "json": as_json, "links": links}
