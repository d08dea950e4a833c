"""Where a node sits: chassis, slot, tray and host, as its GPUs' platform information says (Blackwell and newer)."""

from dataclasses import dataclass
from typing import Final, TypeVar

from nvtopo.model.facts import GpuPlatform
from nvtopo.model.node import NodeTopology

_FIELDS = ("chassis_serial", "slot", "tray", "host")
_LAST = 1 << 32

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a rack; None where no GPU says, or where they do not agree."""

    chassis: str | None = None
    """The chassis' serial number; one rack."""
    slot: int | None = None
    """Slot in the rack, switch trays counted."""
    tray: int | None = None
    """Compute tray, switch trays not counted."""
    host: int | None = None
    """Node within the slot."""

    def order(self) -> tuple[bool, str, int, int, int]:
        """The physical order: by chassis, from slot to slot; what is not known comes last."""
        return (
            self.chassis is None,
            self.chassis or "",
            _LAST if self.slot is None else self.slot,
            _LAST if self.tray is None else self.tray,
            _LAST if self.host is None else self.host,
        )

    def __str__(self) -> str:
        places = {"chassis": self.chassis, "slot": self.slot, "tray": self.tray, "host": self.host}
        return ", ".join(f"{word} {value}" for word, value in places.items() if value is not None)

    @property
    def exact(self) -> bool:
        """Whether no second node can be in this place."""
        return bool(self.chassis) and self.host is not None and (self.slot is not None or self.tray is not None)


def of(topology: NodeTopology) -> Position:
    """The node's place, each coordinate where all GPUs that give it agree."""
    platforms = _platforms(topology)
    if platforms and all(platform is platforms[0] for platform in platforms):
        platforms = platforms[:1]
    return Position(
        chassis=_agreed({platform.chassis_serial for platform in platforms}) or None,
        slot=_agreed({platform.slot for platform in platforms}),
        tray=_agreed({platform.tray for platform in platforms}),
        host=_agreed({platform.host for platform in platforms}),
    )


def disagreements(topology: NodeTopology) -> tuple[str, ...]:
    """Coordinates about which the GPUs of one node disagree, in words."""
    platforms = _platforms(topology)
    found = []
    for field in _FIELDS:
        values = {getattr(platform, field) for platform in platforms} - {None}
        if len(values) > 1:
            listed = ", ".join(repr(value) for value in sorted(values))
            found.append(f"its GPUs disagree about their {field.replace('_', ' ')}: {listed}")
    return tuple(found)


def _platforms(topology: NodeTopology) -> list[GpuPlatform]:
    return [gpu.platform for gpu in topology.gpus if gpu.platform is not None]


def _agreed(values: set[_T | None]) -> _T | None:
    known = values - {None}
    return known.pop() if len(known) == 1 else None


UNKNOWN: Final = Position()
