"""The same gang placed near and crossed: how much faster it was measured to be, beside what the links promise."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.checks.check import Machine
from nvtopo.checks.promised import LARGE_BYTES, promised
from nvtopo.findings.finding import Check, Finding
from nvtopo.model.samples.measured import Collective

#: Rings reach 60 to 95 % of either link, so ratios of two of them differ by less than this.
FACTOR: Final = 2.0
RATIO: Final = Check(
    "measured-ratio",
    "warning",
    "gpu-fabric",
    f"the ratio of two collectives of one size within a factor of {FACTOR:g} of that of their slowest links",
    "Compare each of the two with its own link: NCCL_DEBUG=INFO says which transport it used.",
)


class _Run(NamedTuple):
    where: str
    measured: int
    promised: int


def ratios(collectives: tuple[Collective, ...], machines: Mapping[str, Machine]) -> Iterator[Finding]:
    """The nearest placement beside each that crosses a slower link, with as many GPUs: an info if it is as promised."""
    runs: dict[int, list[_Run]] = {}
    for one in collectives:
        due, why = promised(one.ranks, machines)
        if due is not None and one.ranks and one.largest_bytes >= LARGE_BYTES and one.bytes_per_second > 0:
            where = f"{', '.join(one.ranks)} ({why})"
            gpus = sum(map(len, one.ranks.values()))
            runs.setdefault(gpus, []).append(_Run(where, one.bytes_per_second, due))
    for gpus, several in sorted(runs.items()):
        near = max(several, key=lambda run: (run.promised, run.measured))
        for far in several:
            if far.promised < near.promised:
                yield _finding(gpus, near, far)


def _finding(gpus: int, near: _Run, far: _Run) -> Finding:
    measured, predicted = near.measured / far.measured, near.promised / far.promised
    well = predicted / FACTOR <= measured <= predicted * FACTOR
    evidence = f"measured {measured:.1f} times as fast on {near.where} as on {far.where}, predicted {predicted:.1f}"
    return RATIO.finding(f"{gpus} GPUs", evidence, "info" if well else None)
