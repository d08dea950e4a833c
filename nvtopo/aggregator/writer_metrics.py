"""Metrics of this replica's leadership and of the status that it writes."""

from collections.abc import Iterator
from typing import Any, Final

from nvtopo.kube.applier import Applier
from nvtopo.kube.lease import Leadership
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

_ALONE: Final = "the aggregator runs without an API server (`nvtopo standalone`)"

LEADING = gauge(
    "nvtopo_aggregator_leading",
    "1 if this replica holds the Lease and writes NodeTopology status, 0 if it waits for it.",
    source="the Lease",
    absent=_ALONE,
)
TRANSITIONS = counter(
    "nvtopo_aggregator_lease_transitions_total",
    "Number of times that the Lease changed its holder since it was created.",
    source="the Lease's `leaseTransitions`",
    absent="the Lease has not been read yet",
)
WRITES = counter(
    "nvtopo_aggregator_status_writes_total",
    "Number of writes of NodeTopology status by this replica, by result: written, gone (no such object), refused (this"
    " object), unavailable (throttled or no answer).",
    ("result",),
    source="the API server's answers",
    absent=_ALONE,
)
WAITING = gauge(
    "nvtopo_aggregator_status_waiting",
    "Number of NodeTopologies whose newest status is not written yet.",
    source="the queue of writes",
    absent="the Lease is not held by this replica",
)
REFUSED = gauge(
    "nvtopo_aggregator_status_refused",
    "Number of NodeTopologies whose status the API server refuses.",
    source="the API server's answers",
    absent="the Lease is not held by this replica",
)
SERIES = declared(globals())


def families(leadership: Leadership, applier: Applier[Any]) -> Iterator[Family]:
    """The families at this moment."""
    leads, figures = leadership.term is not None, applier.figures
    yield one(LEADING, float(leads))
    yield one(TRANSITIONS, leadership.transitions)
    writes = Family(WRITES)
    for outcome, count in figures.outcomes.items():
        writes.add(count, outcome.value)
    yield writes
    if leads:
        yield one(WAITING, figures.waiting)
        yield one(REFUSED, figures.refused)
