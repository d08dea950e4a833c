"""What was predicted of placements beside what was measured: pure."""

from collections.abc import Mapping
from typing import Final

from nvtopo.model.records.record import Record
from nvtopo.model.samples.measured import Collective
from nvtopo.placement.measured_links import LARGE_BYTES
from nvtopo.placement.result import Assignment

_FLEET: Final = "fleet"


class Beside(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One run on one placement. Null is not known."""

    placement: str
    level: str
    """Inside which it is."""
    domains: Mapping[str, int]
    gpus: int
    predicted_bytes_per_second: int | None
    """Bus bandwidth of a large collective."""
    measured_bytes_per_second: int | None
    """Null: its messages were too small."""
    ratio: float | None
    """Measured to predicted."""


class Comparison(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The comparison of all runs."""

    runs: tuple[Beside, ...]
    unmatched: tuple[str, ...]
    """Runs on other nodes or GPUs than any of the placements, and placements without a run."""


def compared(answers: Mapping[str, Assignment], runs: tuple[Collective, ...]) -> Comparison:
    """Each run beside the placement that has exactly its GPUs."""
    by_gpus = {_gpus(answer): name for name, answer in answers.items()}
    rows: list[Beside] = []
    unmatched: list[str] = []
    for run in runs:
        used = frozenset((host.partition(".")[0], gpu) for host, gpus in run.ranks.items() for gpu in gpus)
        name = by_gpus.get(used)
        if name is None:
            unmatched.append(f"the run on {', '.join(run.ranks) or 'unnamed hosts'}")
        else:
            rows.append(_row(name, answers[name], run))
    without = {*answers} - {row.placement for row in rows}
    return Comparison(runs=tuple(rows), unmatched=(*unmatched, *(f"the placement {name}" for name in sorted(without))))


def rates(comparison: Comparison) -> Mapping[str, int]:
    """Level → the slowest bus bandwidth that was measured of placements inside it."""
    found: dict[str, int] = {}
    for row in comparison.runs:
        if row.measured_bytes_per_second is not None and row.level != _FLEET:
            found[row.level] = min(row.measured_bytes_per_second, found.get(row.level, row.measured_bytes_per_second))
    return found


def _gpus(answer: Assignment) -> frozenset[tuple[str, int]]:
    return frozenset((rank.node.partition(".")[0], gpu) for rank in answer.ranks for gpu in rank.gpus)


def _row(name: str, answer: Assignment, run: Collective) -> Beside:
    predicted = answer.bus_bytes_per_second
    measured = run.bytes_per_second if run.largest_bytes >= LARGE_BYTES else None
    return Beside(
        placement=name,
        level=answer.level,
        domains=answer.domains,
        gpus=sum(len(rank.gpus) for rank in answer.ranks),
        predicted_bytes_per_second=predicted,
        measured_bytes_per_second=measured,
        ratio=None if predicted is None or measured is None else round(measured / predicted, 4),
    )
