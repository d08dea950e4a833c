"""Metrics of the gangs that this replica places."""

from collections.abc import Iterator
from typing import Final

from nvtopo.aggregator.gang_keeper import GangKeeper
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge

_NOT_ASKED: Final = "the aggregator runs without `--gangs`"

GANGS = gauge(
    "nvtopo_aggregator_gangs",
    "Number of gangs of pods, by state: waiting (some of its pods are gated, and it has no place), placed.",
    ("state",),
    source="the pods, and the reservations",
    absent=_NOT_ASKED,
)
WRITES = counter(
    "nvtopo_aggregator_gang_writes_total",
    "Number of writes at pods of gangs by this replica, by result: written, gone, refused (this pod), unavailable"
    " (throttled or no answer).",
    ("result",),
    source="the API server's answers",
    absent=_NOT_ASKED,
)
SERIES = declared(globals())


def families(keeper: GangKeeper) -> Iterator[Family]:
    """The families at this moment."""
    gangs, writes, figures = Family(GANGS), Family(WRITES), keeper.figures
    gangs.add(figures.waiting, "waiting")
    gangs.add(figures.placed, "placed")
    for outcome, count in keeper.applier.figures.outcomes.items():
        writes.add(count, outcome.value)
    yield from (gangs, writes)
