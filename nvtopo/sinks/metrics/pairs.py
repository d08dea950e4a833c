"""What two GPUs of a node talk over, on the metrics page. Three series a pair: 84 for eight GPUs, 360 for sixteen."""

from collections.abc import Iterator
from typing import Final

from nvtopo.model.conclusions import names, nvlink
from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.conclusions.health import gpu_nvlink_degraded
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.metrics.series import Family, declared, gauge

_UNWIRED: Final = "no NVLink connects the two, or the driver hides it"

BANDWIDTH = gauge(
    "nvtopo_gpu_pair_bandwidth_bytes_per_second",
    "Bandwidth between two GPUs in one direction, in bytes per second. Label source: driver, or table for the "
    "nominal rate.",
    ("gpu", "peer", "link", "source"),
    source="NVML field 164 of the links between them, or the nominal rate of their generation",
    absent="the path between the two is not known",
)
ACCESS = gauge(
    "nvtopo_gpu_pair_peer_access",
    "1 if the driver allows peer access over the NVLinks between the two GPUs, 0 if not.",
    ("gpu", "peer"),
    source="nvmlDeviceGetP2PStatus",
    absent=_UNWIRED,
)
DEGRADED = gauge(
    "nvtopo_gpu_pair_degraded",
    "1 if NVLink gives one of the two GPUs less than it should or the pair lost peer access, 0 if not.",
    ("gpu", "peer"),
    source="expected against usable NVLinks, nvmlDeviceGetGpuFabricInfoV, nvmlDeviceGetP2PStatus",
    absent=_UNWIRED,
)
SERIES = declared(globals())


def families(node: NodeTopology, derived: Derived) -> Iterator[Family]:
    """The pairs of one node."""
    bandwidth, access, degraded = Family(BANDWIDTH), Family(ACCESS), Family(DEGRADED)
    for pair in derived.gpu_pairs:
        bandwidth.add(pair.bytes_per_second, str(pair.a), str(pair.b), names.link(pair) or "", pair.source or "")
    lacking = {index for index, health in derived.health.gpus.items() if gpu_nvlink_degraded(health)}
    for (a, b), allowed in nvlink.pair_access(node).items():
        if allowed is not None:
            access.add(int(allowed), str(a), str(b))
            degraded.add(int(not allowed or a in lacking or b in lacking), str(a), str(b))
    yield bandwidth
    yield access
    yield degraded
