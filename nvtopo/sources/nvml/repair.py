"""What a GPU needs before it is well again, from the batch of fields that the NVML worker asks for."""

from typing import Final

from nvtopo.sources.nvml.asker import Json
from nvtopo.sources.nvml.binding import pynvml
from nvtopo.sources.nvml.field_values import Key

#: NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: the oldest pynvml of setup.cfg has no name for it.
_RECOVERY_ACTION: Final = 230
_ACTIONS: Final = {
    1: "gpu-reset",
    2: "node-reboot",
    3: "drain-p2p",
    4: "drain-and-reset",
    5: "recover-imex-domain",
    6: "bus-reset",
    7: "system-reboot",
}
_REPAIRS: Final = {
    pynvml.NVML_FI_DEV_RETIRED_PENDING: "page-retirement-pending",
    pynvml.NVML_FI_DEV_REMAPPED_PENDING: "row-remap-pending",
    pynvml.NVML_FI_DEV_REMAPPED_FAILURE: "row-remap-failed",
}
FIELDS: Final = (_RECOVERY_ACTION, *_REPAIRS)


def repair(fields: dict[Key, int]) -> Json:
    """The action, if one is needed, and what is still to be repaired; ``unknown-N`` is an action of a newer driver."""
    number = fields.get((_RECOVERY_ACTION, 0))
    return {
        "recoveryAction": _ACTIONS.get(number, f"unknown-{number}") if number else None,
        "memoryRepair": [name for field, name in _REPAIRS.items() if fields.get((field, 0))] or None,
    }
