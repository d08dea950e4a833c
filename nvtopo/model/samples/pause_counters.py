"""Pause frames as drivers name them in ``ethtool -S``, by priority (802.1Qbb) or for the whole link (802.3x).

Received: the network told this side to stop. Transmitted: this side could not take more, for its PCIe or memory.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

#: For pause of the whole link.
WHOLE_LINK: Final = "all"


class Pause(NamedTuple):
    """What one statistic counts."""

    family: str
    """``frames_received``, ``frames_transmitted``, ``seconds_received`` or ``seconds_transmitted``."""
    priority: str
    """``0`` to ``7``, or ``all``."""


_WAYS: Final = {"rx": "received", "tx": "transmitted"}
_FRAMES: Final = (
    re.compile(r"(?P<way>[rt]x)_prio(?P<priority>[0-7])_pause"),  # mlx5, where PFC is on for the priority
    re.compile(r"(?P<way>[rt]x)_pfc_ena_frames_pri(?P<priority>[0-7])"),  # bnxt_en
    re.compile(r"(?:port\.)?(?P<way>[rt]x)_priority_(?P<priority>[0-7])_xoff(?:\.nic)?"),  # ice, i40e
    re.compile(r"(?P<way>[rt]x)_global_pause"),  # mlx5
    re.compile(r"(?P<way>[rt]x)_flow_control_xoff"),  # e1000e, igb, ixgbe
)
_MICROSECONDS: Final = (
    re.compile(r"(?P<way>[rt]x)_prio(?P<priority>[0-7])_pause_duration"),  # mlx5
    re.compile(r"pfc_pri(?P<priority>[0-7])_(?P<way>[rt]x)_duration_us"),  # bnxt_en
    re.compile(r"(?P<way>[rt]x)_global_pause_duration"),  # mlx5
)
_A_SECOND: Final = 1_000_000


def meaning(name: str) -> tuple[Pause, int] | None:
    """What a statistic counts, and how many make one of the family's unit; None for one that is not about pause."""
    for patterns, quantity, unit in ((_FRAMES, "frames", 1), (_MICROSECONDS, "seconds", _A_SECOND)):
        for pattern in patterns:
            if match := pattern.fullmatch(name):
                way = _WAYS[match["way"]]
                return Pause(f"{quantity}_{way}", match.groupdict().get("priority") or WHOLE_LINK), unit
    return None


def wanted(names: Iterable[str]) -> tuple[int, ...]:
    """Where among a driver's statistics those about pause are."""
    return tuple(index for index, name in enumerate(names) if meaning(name) is not None)


def counted(statistics: Mapping[str, int]) -> dict[Pause, float]:
    """A network device's statistics by what they count."""
    found: dict[Pause, float] = {}
    for name, value in statistics.items():
        if (meant := meaning(name)) is not None:
            pause, unit = meant
            found.setdefault(pause, value / unit if unit > 1 else value)
    return found
