"""The grace after boot in which NVLinks train: a link that is not up yet counts neither as broken nor as healthy."""

from typing import Final

from nvtopo.model.records.facts import GpuFacts

#: NVLinks train within seconds of the driver's start, and the Fabric Manager registers GPUs a minute or two later.
BOOT_GRACE_SECONDS: Final = 300.0


def in_training(gpu: GpuFacts, uptime_seconds: float | None, grace_seconds: float = BOOT_GRACE_SECONDS) -> bool:
    """Whether this GPU's links may still be coming up.

    The uptime decides, so setting the clock changes nothing. If it is unknown, or the boot long ago, links that are not
    up count as down.
    """
    if uptime_seconds is None or uptime_seconds >= grace_seconds:
        return False
    registering = gpu.fabric is not None and gpu.fabric.state in ("not-started", "in-progress")
    return registering or any(link.state == "inactive" for link in gpu.nvlinks)
