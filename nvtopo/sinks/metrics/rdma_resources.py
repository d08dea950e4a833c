"""RDMA resources in use, on the metrics page.

Eight series a device. Where queue pairs are asked for, one for each type and state that some have (at most 96), and for
each port and type that counters were bound to one for each counter that ``rdma_counter_metrics`` knows.
"""

from collections.abc import Iterator, Sequence

from nvtopo.model.samples.rdma_counters import MEANINGS
from nvtopo.model.samples.rdma_resources import DeviceResources
from nvtopo.sinks.metrics.rdma_counters import PORT
from nvtopo.sinks.metrics.series import Family, declared, gauge

NETLINK_UP = gauge(
    "nvtopo_rdma_netlink_up",
    "1 if the kernel answers for RDMA resources over netlink, 0 if not.",
    source="NETLINK_RDMA",
    absent="the page shows a recorded machine, or there is no RDMA device",
)
RESOURCES = gauge(
    "nvtopo_rdma_resources",
    "Number of objects in use on the RDMA device, by kind: queue pairs, completion queues, memory regions and others.",
    ("device", "resource"),
    source="RDMA_NLDEV_CMD_RES_GET",
    absent="the kernel does not answer",
)
QUEUE_PAIRS = gauge(
    "nvtopo_rdma_queue_pairs",
    "Number of queue pairs on the RDMA device, by type and state.",
    ("device", "type", "state"),
    source="RDMA_NLDEV_CMD_RES_QP_GET",
    absent="the agent runs without --rdma-queue-pairs, the device has more than 4096, or none has that type and state",
)
BOUND = gauge(
    "nvtopo_rdma_queue_pair_counters",
    "Sum of the counters that rdma statistic bound to queue pairs, by queue pair type. It falls when queue pairs end.",
    (*PORT, "type", "counter"),
    source="RDMA_NLDEV_CMD_STAT_GET",
    absent="the agent runs without --rdma-queue-pairs, the device has more than 4096, or no counter is bound",
)
SERIES = declared(globals())

_KNOWN = frozenset(file.removeprefix("hw_counters/") for file in MEANINGS if file.startswith("hw_counters/"))


def families(devices: Sequence[DeviceResources]) -> Iterator[Family]:
    """The families of these devices."""
    resources, queue_pairs, bound = Family(RESOURCES), Family(QUEUE_PAIRS), Family(BOUND)
    for device in devices:
        for resource, count in sorted(device.resources.items()):
            resources.add(count, device.name, resource)
        for (kind, state), count in sorted((device.queue_pairs or {}).items()):
            queue_pairs.add(count, device.name, kind, state)
        for (port, kind, counter), value in sorted((device.bound or {}).items()):
            if counter in _KNOWN:
                bound.add(value, device.name, str(port), kind, counter)
    yield from (resources, queue_pairs, bound)
