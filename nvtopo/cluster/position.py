"""A node's place in its rack: chassis, slot, tray and host, from its GPUs' platform information (since Blackwell)."""

import re
from dataclasses import dataclass
from typing import Final, TypeVar

from nvtopo.model.records.facts import GpuPlatform
from nvtopo.model.records.node import NodeTopology

_NUMBERS = ("slot", "tray", "host")
_FIELDS = ("chassis_serial", *_NUMBERS)
_LAST = 1 << 32
#: The highest slot, tray or host that a rack may have: four times what any has today.
_MOST: Final = 255
#: What firmware says if nobody gave the chassis a serial number; compared without blanks and marks, in lower case.
_FILLERS: Final = frozenset(
    (
        "",
        "0123456789",
        "123456789",
        "1234567890",
        "chassisserialnumber",
        "default",
        "defaultstring",
        "empty",
        "invalid",
        "na",
        "nil",
        "none",
        "notapplicable",
        "notavailable",
        "notpresent",
        "notset",
        "notspecified",
        "null",
        "serialnumber",
        "systemserialnumber",
        "tbd",
        "tobefilledbyoem",
        "undefined",
        "unknown",
        "unspecified",
    )
)
_REPEATED: Final = 4
_MARKS: Final = re.compile(r"[\W_]+")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a rack. A coordinate is None if no GPU reports it, or they disagree."""

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
    """The node's place, each coordinate where all GPUs that give it agree, and as far as a rack may have it."""
    platforms = _platforms(topology)
    if platforms and all(platform is platforms[0] for platform in platforms):
        platforms = platforms[:1]
    serial = _agreed({platform.chassis_serial for platform in platforms})
    return Position(
        chassis=None if serial is None or is_filler(serial) else serial,
        slot=_number({platform.slot for platform in platforms}),
        tray=_number({platform.tray for platform in platforms}),
        host=_number({platform.host for platform in platforms}),
    )


def is_filler(serial: str) -> bool:
    """Whether a serial number is none: a filler of the firmware's, or one character again and again."""
    bare = _MARKS.sub("", serial).lower()
    bare = bare.removeprefix("0x")
    return bare in _FILLERS or (len(set(bare)) == 1 and (bare[0] in "0fx" or len(bare) >= _REPEATED))


def impossible(topology: NodeTopology) -> tuple[str, ...]:
    """Coordinates that no rack has, in words."""
    found = []
    for field in _NUMBERS:
        values = {getattr(platform, field) for platform in _platforms(topology)} - {None}
        beyond = sorted(value for value in values if value > _MOST)
        if beyond:
            found.append(f"its GPUs give {field} {beyond[-1]}, expected at most {_MOST}")
    return tuple(found)


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


def _number(values: set[int | None]) -> int | None:
    number = _agreed(values)
    return None if number is None or number > _MOST else number


def _agreed(values: set[_T | None]) -> _T | None:
    known = values - {None}
    return known.pop() if len(known) == 1 else None


UNKNOWN: Final = Position()
