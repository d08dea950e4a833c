"""XIDs and NVML's other events on the metrics page, counted since the agent started."""

from collections.abc import Iterator, Mapping

from nvtopo.model.nvml_events import NvmlEvent, label
from nvtopo.sinks.metrics.series import GPU, Family, counter, declared, gauge, one

XIDS = counter(
    "nvtopo_gpu_xid_errors_total",
    "XID errors by number; other for those that NVIDIA's catalogue has not.",
    (*GPU, "xid"),
    source="nvmlEventSetWait_v2, nvmlEventTypeXidCriticalError",
    absent="the GPU had none of that number since the agent started",
)
EVENTS = counter(
    "nvtopo_gpu_nvml_events_total",
    "NVML's other events, by kind.",
    (*GPU, "event"),
    source="nvmlEventSetWait_v2",
    absent="the GPU had none of that kind since the agent started",
)
LISTENING = gauge(
    "nvtopo_nvml_events_gpus",
    "GPUs whose events are heard; 0 while the driver is not there or hangs.",
    source="nvmlDeviceRegisterEvents",
    absent="no driver is asked, or --no-nvml-events",
)
SERIES = declared(globals())

Key = tuple[str, str, str]


def series_of(event: NvmlEvent) -> Key:
    """The labels under which an event is counted."""
    gpu = "" if event.gpu is None else str(event.gpu)
    return (gpu, event.uuid, event.kind if event.xid is None else label(event.xid))


def families(xids: Mapping[Key, int], events: Mapping[Key, int], listening: int) -> Iterator[Family]:
    """The families of this moment."""
    for series, counts in ((XIDS, xids), (EVENTS, events)):
        family = Family(series)
        for labels, count in sorted(counts.items()):
            family.add(count, *labels)
        yield family
    yield one(LISTENING, listening)
