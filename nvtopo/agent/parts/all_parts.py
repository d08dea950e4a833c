"""What makes up the agent's metrics page, the sampler apart."""

from collections.abc import Callable

from nvtopo.agent.parts import pause, pods, rdma
from nvtopo.agent.parts.changes import Changes
from nvtopo.agent.parts.counters import NumaPart
from nvtopo.agent.parts.rdma import DEFAULT, RdmaOptions
from nvtopo.model.observation import Observation
from nvtopo.sinks.metrics import observation
from nvtopo.sinks.metrics.series import Part
from nvtopo.sources.kubelet.pods import PodsReading
from nvtopo.sources.sysfs import SysfsRoot


def parts(
    root: SysfsRoot,
    latest: Callable[[], Observation | None],
    changes: Changes,
    held: Callable[[], PodsReading] = PodsReading,
    rdma_options: RdmaOptions = DEFAULT,
) -> tuple[Part, ...]:
    """In the page's order. ``held`` gives the containers that hold GPUs."""
    numa = NumaPart(root, latest)
    return (
        observation.part(latest, lambda: (*numa.problems, *held().problems)),
        changes.part,
        numa,
        rdma.part(root, latest, rdma_options),
        *((pause.part(root, latest),) if rdma_options.pause else ()),
        pods.part(held, latest),
    )
