"""What makes up the agent's metrics page, the sampler apart."""

from collections.abc import Callable

from nvtopo.agent import counters, rdma
from nvtopo.agent.changes import Changes
from nvtopo.sinks import metrics
from nvtopo.sinks.metrics import Observation
from nvtopo.sinks.series import Part
from nvtopo.sources.sysfs import SysfsRoot


def parts(
    root: SysfsRoot, latest: Callable[[], Observation | None], changes: Changes, *, rdma_traffic: bool = True
) -> tuple[Part, ...]:
    """In the page's order. ``rdma_traffic`` leaves out what node_exporter has too, where it is False."""
    return (
        metrics.part(latest),
        changes.part,
        counters.part(root, latest),
        rdma.part(root, latest, traffic=rdma_traffic),
    )
