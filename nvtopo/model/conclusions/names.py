"""What GPUs and their connections are called where people read them: ``GPU0``, ``NV18``. Made here, parsed nowhere."""

from nvtopo.model.conclusions.paths import PairPath


def gpu(index: int) -> str:
    """``GPU0``, as nvidia-smi heads its columns."""
    return f"GPU{index}"


def link(path: PairPath) -> str | None:
    """``NV18``, or the PCIe level; None where it is not known."""
    if path.nvlinks is not None:
        return f"NV{path.nvlinks}"
    return None if path.level is None else path.level.name
