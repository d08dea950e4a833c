"""Connections to the process's own page, on that page."""

from collections import Counter
from collections.abc import Iterator

from nvtopo.runtime.connection_slots import Reason
from nvtopo.sinks.metrics.series import Family, declared, gauge, one
from nvtopo.sinks.metrics.series import counter as counted

OPEN = gauge(
    "nvtopo_http_connections", "Number of open connections to this page; agents have it as well.", source="the server"
)
DROPPED = counted(
    "nvtopo_http_dropped_connections_total",
    "Number of connections that the server closed on its own account, by reason: head (sent no whole request in time), "
    "idle (asked nothing more), answer (its answer took too long), unread (does not read), client (its address has too"
    " many), crowd (a newcomer needed the slot), streams (a newcomer needed the stream's slot).",
    ("reason",),
    source="the server",
    absent="no connection was dropped for that reason",
)
SERIES = declared(globals())


def families(count: int, dropped: Counter[Reason]) -> Iterator[Family]:
    """How many are open, and how many were dropped so far for each reason."""
    yield one(OPEN, count)
    family = Family(DROPPED)
    for reason, number in sorted(dropped.items()):
        family.add(number, reason.value)
    yield family
