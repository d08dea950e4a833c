"""What makes up the agent's metrics page, the sampler apart."""

from collections.abc import Callable

from nvtopo.agent import counters, pause, rdma
from nvtopo.agent.changes import Changes
from nvtopo.agent.rdma import DEFAULT, RdmaOptions
from nvtopo.sinks import metrics
from nvtopo.sinks.metrics import Observation
from nvtopo.sinks.series import Part
from nvtopo.sources.sysfs import SysfsRoot


def parts(
    root: SysfsRoot, latest: Callable[[], Observation | None], changes: Changes, rdma_options: RdmaOptions = DEFAULT
) -> tuple[Part, ...]:
    """In the page's order."""
    return (
        metrics.part(latest),
        changes.part,
        counters.part(root, latest),
        rdma.part(root, latest, rdma_options),
        *((pause.part(root, latest),) if rdma_options.pause else ()),
    )
