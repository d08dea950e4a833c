"""How well the node and its GPUs are, on the metrics page: the judgement that labels and pictures show too."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nvtopo.model.conclusions.derive import Derived
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.metrics.series import GPU, Family, declared, gauge

_SOURCE: Final = "fabric, NVLinks and problems of the reading"

READY = gauge(
    "nvtopo_node_ready",
    "1 if nothing known keeps a job from running on the node, 0 if something does; the same as the label ready.",
    source=_SOURCE,
    absent="the node has no GPU, or its state is not known (NVLinks train after boot)",
)
HEALTH = gauge(
    "nvtopo_gpu_health",
    "1 for the health of the GPU: ok, unknown, registering, degraded or fault.",
    (*GPU, "health"),
    source=_SOURCE,
    absent="no GPU answers",
)
REASONS = gauge(
    "nvtopo_node_health_reasons",
    "Number of GPUs, NICs and things of the node as a whole that are not well for this reason, such as gpus-missing.",
    ("reason",),
    source="fabric, NVLinks and problems of the reading; expectations",
    absent="there is no such reason",
)
RECOVERY = gauge(
    "nvtopo_gpu_recovery_action",
    "1 for the action that it takes to recover the GPU, such as gpu-reset, node-reboot or drain-and-reset.",
    (*GPU, "action"),
    source="NVML_FI_DEV_GET_GPU_RECOVERY_ACTION",
    absent="no action is needed, or the driver does not tell",
)
REPAIR = gauge(
    "nvtopo_gpu_memory_repair",
    "1 for a repair of the GPU's memory that is pending until a reset, or failed.",
    (*GPU, "repair"),
    source="NVML_FI_DEV_RETIRED_PENDING, NVML_FI_DEV_REMAPPED_PENDING, NVML_FI_DEV_REMAPPED_FAILURE",
    absent="no repair is pending and none failed, or the driver does not tell",
)
SERIES = declared(globals())


def families(node: NodeTopology, derived: Derived) -> Iterator[Family]:
    """The health of one node: one series, and one for each GPU."""
    ready, health, recovery, repair = Family(READY), Family(HEALTH), Family(RECOVERY), Family(REPAIR)
    reasons = Family(REASONS)
    for code, count in sorted(Counter(reason.code for reason in derived.health.reasons).items()):
        reasons.add(count, code)
    ready.add(None if derived.health.ready is None else int(derived.health.ready))
    for gpu in node.gpus:
        health.add(1, str(gpu.index), gpu.uuid, derived.health.gpus[gpu.index].level)
        if gpu.recovery_action is not None:
            recovery.add(1, str(gpu.index), gpu.uuid, gpu.recovery_action)
        for name in gpu.memory_repair:
            repair.add(1, str(gpu.index), gpu.uuid, name)
    yield ready
    yield reasons
    yield health
    yield recovery
    yield repair
