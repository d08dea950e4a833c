"""What two GPUs of a node talk over, on the metrics page. Three series a pair: 84 for eight GPUs, 360 for sixteen."""

from collections.abc import Iterator
from typing import Final

from nvtopo.model import nvlink
from nvtopo.model.derive import Derived
from nvtopo.model.node import NodeTopology
from nvtopo.sinks.metrics.series import Family, declared, gauge

_UNWIRED: Final = "no NVLink joins the two, or the driver hides it"

BANDWIDTH = gauge(
    "nvtopo_gpu_pair_bandwidth_bytes_per_second",
    "What two GPUs can send each other in one direction; source says whether the driver or a table knows.",
    ("gpu", "peer", "link", "source"),
    source="NVML field 164 of the links between them, or the nominal rate of their generation",
    absent="the path between them is not known",
)
ACCESS = gauge(
    "nvtopo_gpu_pair_peer_access",
    "1 where the driver allows peer access over the NVLinks that join two GPUs.",
    ("gpu", "peer"),
    source="nvmlDeviceGetP2PStatus",
    absent=_UNWIRED,
)
DEGRADED = gauge(
    "nvtopo_gpu_pair_degraded",
    "1 where links of one of the two are missing, or their peer access is lost.",
    ("gpu", "peer"),
    source="expected against usable NVLinks, nvmlDeviceGetP2PStatus",
    absent=_UNWIRED,
)
SERIES = declared(globals())


def families(node: NodeTopology, derived: Derived) -> Iterator[Family]:
    """The pairs of one node."""
    bandwidth, access, degraded = Family(BANDWIDTH), Family(ACCESS), Family(DEGRADED)
    for pair in derived.gpu_pairs:
        bandwidth.add(pair.bytes_per_second, pair.a[3:], pair.b[3:], pair.link or "", pair.source or "")
    short = set(derived.nvlink_degraded)
    for (a, b), allowed in nvlink.pair_access(node).items():
        access.add(int(allowed), str(a), str(b))
        degraded.add(int(not allowed or a in short or b in short), str(a), str(b))
    yield bandwidth
    yield access
    yield degraded
