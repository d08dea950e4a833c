"""The grace after boot in which NVLinks train: what is not up yet is not broken, and not known to be well."""

from typing import Final

from nvtopo.model.facts import GpuFacts

#: NVLinks train within seconds of the driver's start, and the Fabric Manager registers GPUs a minute or two later.
BOOT_GRACE_SECONDS: Final = 300.0


def in_training(gpu: GpuFacts, uptime_seconds: float | None, grace_seconds: float = BOOT_GRACE_SECONDS) -> bool:
    """Whether this GPU's links may still be coming up.

    Seconds since boot count whatever happens to the clock. Where they are not known, or with them the boot long ago,
    what is not up counts as down.
    """
    if uptime_seconds is None or uptime_seconds >= grace_seconds:
        return False
    registering = gpu.fabric is not None and gpu.fabric.state in ("not-started", "in-progress")
    return registering or any(link.state == "inactive" for link in gpu.nvlinks)
