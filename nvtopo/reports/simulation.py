"""What a simulation found, policy by policy: as a table and as JSON."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

import msgspec

from nvtopo.model.records.record import Record
from nvtopo.placement.simulate import Run

_PS_PER_US: Final = 1_000_000
_P95: Final = 0.95


class Figures(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Of one policy. Null where there was nothing to take it of."""

    policy: str
    gangs: int
    """How many gangs ran."""
    impossible: int
    """Larger than the whole cluster: they never ran."""
    restarts: int
    """After a node failed."""
    wait_mean_seconds: float | None
    wait_p95_seconds: float | None
    fragmentation: float
    """The share of the free GPUs that are in domains which are partly in use; mean over the time."""
    cross_domain: float | None
    """Of the starts of gangs that one domain could hold: the share that got more than one."""
    all_reduce_mean_microseconds: float | None
    """Predicted, of each start of a gang with more than one GPU."""
    all_reduce_p95_microseconds: float | None
    utilisation: float
    """The share of GPU time in use, failed nodes counted as in use."""
    end_seconds: float


def figures(runs: Mapping[str, Run]) -> tuple[Figures, ...]:
    """The figures of each run, by policy."""
    return tuple(_figures(policy, run) for policy, run in runs.items())


def _figures(policy: str, run: Run) -> Figures:
    all_reduces = [picoseconds / _PS_PER_US for picoseconds in run.all_reduces_ps]
    return Figures(
        policy=policy,
        gangs=len(run.waits),
        impossible=run.impossible,
        restarts=run.restarts,
        wait_mean_seconds=mean(run.waits),
        wait_p95_seconds=percentile(run.waits, _P95),
        fragmentation=run.fragmentation,
        cross_domain=run.crossed / run.could_be_inside if run.could_be_inside else None,
        all_reduce_mean_microseconds=mean(all_reduces),
        all_reduce_p95_microseconds=percentile(all_reduces, _P95),
        utilisation=run.utilisation,
        end_seconds=run.end,
    )


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None where there are no values."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The least of the values that so many of them do not exceed; None of nothing."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)] if values else None


def as_json(found: tuple[Figures, ...]) -> str:
    """One list."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def table(found: tuple[Figures, ...]) -> str:
    """One line for each policy."""
    rows = [
        ("POLICY", "GANGS", "WAIT", "WAIT P95", "FRAGMENTED", "CROSSING", "ALL-REDUCE", "P95", "IN USE", "RESTARTS"),
        *(_row(figures) for figures in found),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join((row[0].ljust(widths[0]), *_right(row[1:], widths[1:]))) for row in rows]
    return "\n".join(lines) + "\n"


def _row(figures: Figures) -> tuple[str, ...]:
    return (
        figures.policy,
        str(figures.gangs),
        _number(figures.wait_mean_seconds, " s"),
        _number(figures.wait_p95_seconds, " s"),
        f"{figures.fragmentation:.1%}",
        "-" if figures.cross_domain is None else f"{figures.cross_domain:.1%}",
        _number(figures.all_reduce_mean_microseconds, " µs"),
        _number(figures.all_reduce_p95_microseconds, " µs"),
        f"{figures.utilisation:.1%}",
        str(figures.restarts),
    )


def _number(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.1f}{unit}"


def _right(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
