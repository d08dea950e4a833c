"""Pause frames of RoCE ports, on the metrics page: at most 36 series a port; four where PFC is on for one priority."""

from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.model.samples import pause_counters
from nvtopo.sinks.metrics.rdma_counters import PORT
from nvtopo.sinks.metrics.series import Family, counter, declared, gauge, one

_LABELS: Final = (*PORT, "priority")
_SOURCE: Final = (
    "ethtool -S (SIOCETHTOOL) of the port's network device, with mlx5, bnxt_en, ice, igb and similar drivers"
)
_ABSENT: Final = (
    "the port is InfiniBand, PFC is off for the priority, the driver does not count it, or ethtool does not answer"
)

ETHTOOL_UP = gauge(
    "nvtopo_rdma_ethtool_up",
    "1 if the kernel answers in time for the statistics of all RoCE network devices, 0 if not.",
    source="SIOCETHTOOL",
    absent="the page shows a recorded machine, there is no RoCE device, or the agent runs with --no-rdma-pause",
)
FRAMES_RECEIVED = counter(
    "nvtopo_rdma_pause_frames_received_total",
    "Number of pause frames with which the network paused this port. Priority all is pause of the whole link.",
    _LABELS,
    source=_SOURCE,
    absent=_ABSENT,
)
FRAMES_TRANSMITTED = counter(
    "nvtopo_rdma_pause_frames_transmitted_total",
    "Number of pause frames with which this port paused the network. Priority all is pause of the whole link.",
    _LABELS,
    source=_SOURCE,
    absent=_ABSENT,
)
SECONDS_RECEIVED = counter(
    "nvtopo_rdma_pause_received_seconds_total",
    "Time that pause frames kept this port from sending, in seconds.",
    _LABELS,
    source=_SOURCE,
    absent=_ABSENT,
)
SECONDS_TRANSMITTED = counter(
    "nvtopo_rdma_pause_transmitted_seconds_total",
    "Time that this port kept the network from sending to it by pause frames, in seconds.",
    _LABELS,
    source=_SOURCE,
    absent=_ABSENT,
)
SERIES = declared(globals())

Port = tuple[str, str]
"""Device and port."""


def families(statistics: Mapping[Port, Mapping[str, int]] | None) -> Iterator[Family]:
    """Each port's statistics by what they count; None where the kernel did not answer."""
    made = {
        "frames_received": Family(FRAMES_RECEIVED),
        "frames_transmitted": Family(FRAMES_TRANSMITTED),
        "seconds_received": Family(SECONDS_RECEIVED),
        "seconds_transmitted": Family(SECONDS_TRANSMITTED),
    }
    for port, numbers in (statistics or {}).items():
        for pause, value in sorted(pause_counters.counted(numbers).items()):
            made[pause.family].add(value, *port, pause.priority)
    yield one(ETHTOOL_UP, int(statistics is not None))
    yield from made.values()
