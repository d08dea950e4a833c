"""Every check of a node beside those of its health. ``docs/checks.md`` is made of it."""

from typing import Final

from nvtopo.checks import (
    containers,
    gids,
    gpus,
    hints,
    host,
    imex,
    iopath,
    labels,
    memory,
    networks,
    overlays,
    paths,
    qos,
    rails,
    runtime,
    scheduler,
    sriov,
    upkeep,
)
from nvtopo.checks.check import NodeCheck

CHECKS: Final[tuple[NodeCheck, ...]] = (
    *gpus.CHECKS,
    *upkeep.CHECKS,
    *paths.CHECKS,
    *imex.CHECKS,
    *rails.CHECKS,
    *gids.CHECKS,
    *qos.CHECKS,
    *sriov.CHECKS,
    *networks.CHECKS,
    *overlays.CHECKS,
    *host.CHECKS,
    *iopath.CHECKS,
    *runtime.CHECKS,
    *containers.CHECKS,
    *scheduler.CHECKS,
    *memory.CHECKS,
    *hints.CHECKS,
    *labels.CHECKS,
)
