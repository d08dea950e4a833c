"""Metrics of the exported objects that this replica keeps applied."""

from collections.abc import Iterator
from typing import Final

from nvtopo.aggregator.export_keeper import ExportKeeper
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

_NOT_ASKED: Final = "the aggregator runs without `--apply`"

OBJECTS = gauge(
    "nvtopo_aggregator_export_objects",
    "Number of objects that should exist, by kind of export.",
    ("kind",),
    source="the graph",
    absent=f"{_NOT_ASKED}, or this replica has not led yet",
)
WRITES = counter(
    "nvtopo_aggregator_export_writes_total",
    "Number of writes of exported objects by this replica, by result: written, gone, refused (this object, or nvtopo"
    " did not write the one of that name), unavailable (throttled or no answer).",
    ("result",),
    source="the API server's answers",
    absent=_NOT_ASKED,
)
WAITING = gauge(
    "nvtopo_aggregator_export_waiting",
    "Number of exported objects that are not up to date yet.",
    source="the queue of writes",
    absent=_NOT_ASKED,
)
REFUSED = gauge(
    "nvtopo_aggregator_export_refused",
    "Number of exported objects that the API server refuses, or whose name an object has that nvtopo did not write.",
    source="the API server's answers",
    absent=_NOT_ASKED,
)
LAST_ERROR = gauge(
    "nvtopo_aggregator_export_last_error_timestamp_seconds",
    "Unix time in seconds when a request about exported objects failed last, by kind of export.",
    ("kind",),
    source="the API server's answers",
    absent=f"{_NOT_ASKED}, or none has failed",
)
SERIES = declared(globals())


def families(keeper: ExportKeeper) -> Iterator[Family]:
    """The families at this moment."""
    figures = keeper.applier.figures
    objects, errors, writes = Family(OBJECTS), Family(LAST_ERROR), Family(WRITES)
    for kind, count in dict(keeper.objects).items():
        objects.add(count, kind)
    for kind, moment in dict(keeper.failed_at).items():
        errors.add(moment, kind)
    for outcome, count in figures.outcomes.items():
        writes.add(count, outcome.value)
    yield from (objects, writes, errors)
    yield one(WAITING, figures.waiting)
    yield one(REFUSED, figures.refused)
