"""What a NIC's PCI identity says of it: the rate that one port can have, and whether it is a DPU.

A port that is down, or that trained below its rate, says nothing of what it is for; its model does.
Sources: NVIDIA's device ids in Linux's mlx5 driver (drivers/net/ethernet/mellanox/mlx5/core/main.c) and data sheets.
"""

from collections.abc import Mapping
from typing import Final

_GIGABIT: Final = 1_000_000_000 // 8

_PORT_GIGABITS: Final[Mapping[str, int]] = {
    "15b3:1013": 100,  # ConnectX-4
    "15b3:1015": 25,  # ConnectX-4 Lx
    "15b3:1017": 100,  # ConnectX-5
    "15b3:1019": 100,  # ConnectX-5 Ex
    "15b3:101b": 200,  # ConnectX-6
    "15b3:101d": 200,  # ConnectX-6 Dx
    "15b3:101f": 50,  # ConnectX-6 Lx
    "15b3:1021": 400,  # ConnectX-7
    "15b3:1023": 800,  # ConnectX-8
    "15b3:a2d2": 100,  # BlueField
    "15b3:a2d6": 200,  # BlueField-2
    "15b3:a2dc": 400,  # BlueField-3
    "15b3:a2df": 800,  # BlueField-4
}
_DPUS: Final = frozenset({"15b3:a2d2", "15b3:a2d6", "15b3:a2dc", "15b3:a2df"})


def port_bytes_per_second(model: str | None) -> int | None:
    """The highest rate of one port, one direction; None for a model that is not in the table."""
    gigabits = _PORT_GIGABITS.get(model or "")
    return None if gigabits is None else gigabits * _GIGABIT


def is_dpu(model: str | None) -> bool:
    """Whether the model is a BlueField."""
    return model in _DPUS
