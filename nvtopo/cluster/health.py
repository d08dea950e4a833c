"""The health of a GPU as the cluster sees it: one word, from its fabric and its NVLinks."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from nvtopo.model import fabric, nvlink
from nvtopo.model.node import Gpu, NodeTopology

Health = Literal["ok", "degraded", "registering", "fault", "unknown"]

WORST_LAST: Final[tuple[Health, ...]] = ("ok", "unknown", "registering", "degraded", "fault")


def of(topology: NodeTopology) -> Mapping[str, Health]:
    """``GPU0`` → its health, for every GPU that answers."""
    degraded = nvlink.degraded(topology) if any(gpu.nvlinks for gpu in topology.gpus) else ()
    return MappingProxyType({gpu.key: _health(gpu, degraded=gpu.index in degraded) for gpu in topology.gpus})


def unusable(gpu: Gpu) -> str:
    """How many of its NVLinks carry traffic, in words."""
    usable = sum(bundle.count for bundle in gpu.nvlinks if bundle.usable)
    counted = max(gpu.nvlink_count or 0, sum(bundle.count for bundle in gpu.nvlinks))
    return f"{gpu.key} has {usable} of {counted} NVLinks"


def _health(gpu: Gpu, *, degraded: bool) -> Health:
    verdict = fabric.verdict(gpu.fabric)
    if verdict in ("Error", "Unhealthy"):
        return "fault"
    if verdict == "Registering" or gpu.nvlink_training:
        return "registering"
    return "ok" if gpu.mig else _links(gpu, degraded=degraded)


def _links(gpu: Gpu, *, degraded: bool) -> Health:
    """What its links say; a GPU without links, or whose driver hides them, has no illness here."""
    if any(bundle.state is None for bundle in gpu.nvlinks):
        return "unknown"
    if gpu.nvlinks and not any(bundle.usable for bundle in gpu.nvlinks):
        return "fault"
    limited = gpu.fabric is not None and gpu.fabric.health_summary == "limited-capacity"
    return "degraded" if degraded or limited else "ok"
