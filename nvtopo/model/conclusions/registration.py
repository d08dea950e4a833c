"""How long a GPU's fabric has been in progress in one stretch. A state machine; the time is an argument.

A fabric that completes ends the stretch: one that registers again after days gets the whole grace again. A GPU that
does not answer for a while may still be waiting, so only more than a grace without an answer ends it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec.structs import replace

from nvtopo.model.conclusions import fabric
from nvtopo.model.formats import limits
from nvtopo.model.records.node import Gpu, NodeTopology


class Stretch(NamedTuple):
    """In which a GPU's fabric was never seen in another state. Monotonic seconds."""

    since: float
    last: float
    """When it was last seen in progress."""


Waiting = Mapping[str, Stretch]
"""A GPU's UUID → its stretch, of the GPUs whose fabric is in progress."""


def step(before: Waiting, node: NodeTopology, now: float, grace_seconds: float) -> Waiting:
    """The stretches after a reading at ``now``."""
    known = {gpu.uuid: _waits(gpu) for gpu in node.gpus if gpu.fabric is not None and gpu.fabric.state is not None}
    after = {
        uuid: stretch for uuid, stretch in before.items() if uuid not in known and now - stretch.last < grace_seconds
    }
    for uuid, waits in known.items():
        if waits:
            after[uuid] = Stretch(before[uuid].since if uuid in before else now, now)
    return MappingProxyType(dict(list(after.items())[-limits.MOST_GPUS :]))


def with_overdue(node: NodeTopology, waiting: Waiting, grace_seconds: float) -> NodeTopology:
    """The node, with ``fabric_overdue`` on each GPU whose stretch is as long as the grace."""
    late = {uuid for uuid, stretch in waiting.items() if stretch.last - stretch.since >= grace_seconds}
    if not late:
        return node
    return replace(node, gpus=tuple(_overdue(gpu) if gpu.uuid in late else gpu for gpu in node.gpus))


def _overdue(gpu: Gpu) -> Gpu:
    return replace(gpu, fabric_overdue=True) if _waits(gpu) and not gpu.nvlink_training else gpu


def _waits(gpu: Gpu) -> bool:
    return fabric.verdict(gpu.fabric) == "Registering"
