"""XIDs and NVML's other events on the metrics page, counted since the agent started."""

from collections.abc import Iterator, Mapping

from nvtopo.model.records.nvml_events import NvmlEvent, label
from nvtopo.sinks.metrics.series import GPU, Family, counter, declared, gauge, one

XIDS = counter(
    "nvtopo_gpu_xid_errors_total",
    "Number of XID errors of the GPU since the agent started, by XID. Those outside NVIDIA's catalogue count as other.",
    (*GPU, "xid"),
    source="nvmlEventSetWait_v2, nvmlEventTypeXidCriticalError",
    absent="the GPU has had no such XID since the agent started",
)
EVENTS = counter(
    "nvtopo_gpu_nvml_events_total",
    "Number of NVML events of the GPU other than XIDs since the agent started, by kind.",
    (*GPU, "event"),
    source="nvmlEventSetWait_v2",
    absent="the GPU has had no such event since the agent started",
)
LISTENING = gauge(
    "nvtopo_nvml_events_gpus",
    "Number of GPUs whose NVML events the agent receives. 0 while the driver is not loaded or hangs.",
    source="nvmlDeviceRegisterEvents",
    absent="the agent asks no driver, or runs with --no-nvml-events",
)
SERIES = declared(globals())

Key = tuple[str, str, str]


def series_of(event: NvmlEvent) -> Key:
    """The labels under which an event is counted."""
    gpu = "" if event.gpu is None else str(event.gpu)
    return (gpu, event.uuid, event.kind if event.xid is None else label(event.xid))


def families(xids: Mapping[Key, int], events: Mapping[Key, int], listening: int) -> Iterator[Family]:
    """The current families."""
    for series, counts in ((XIDS, xids), (EVENTS, events)):
        family = Family(series)
        for labels, count in sorted(counts.items()):
            family.add(count, *labels)
        yield family
    yield one(LISTENING, listening)
