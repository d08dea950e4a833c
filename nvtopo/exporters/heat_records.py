"""How hot the GPUs of a job are, whether that slows them down, and how much their NVLinks carry, as documents have it.

What nobody says, or said too long ago, is null.
"""

from typing import Final, Literal

from nvtopo.model.records.record import Record

HeatState = Literal["heat", "hardware", "hot", "power", "ok", "unknown"]
#: Worst first. The limit of power is where a busy GPU may well be.
WORDS: Final[dict[HeatState, str]] = {
    "heat": "slowed by heat",
    "hardware": "slowed by the board or its power supply",
    "hot": "hot",
    "power": "at its power limit",
    "ok": "ok",
    "unknown": "unknown",
}


class GpuTemperature(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Of a GPU's die."""

    celsius: float
    below_slowdown_celsius: float | None
    """How far it is below the temperature at which the GPU slows down; negative above it. Null if no limit is known."""
    age_seconds: int


class GpuSlowdown(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Whether heat or power holds the GPU's clocks down."""

    reasons: tuple[str, ...]
    """As in ``nvtopo_gpu_clock_event``, worst first; empty if none does."""
    age_seconds: int


class NvlinkUse(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What all NVLinks of the GPU carried in one direction, as the mean between the two latest scrapes."""

    bytes_per_second: int
    share: float | None
    """Of what its usable links can carry; null if the rate of one of them is not known."""
    age_seconds: int


class GpuHeat(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One GPU."""

    state: HeatState
    """The worst that is known of it; ``ok`` takes both temperature and slowdown."""
    temperature: GpuTemperature | None
    hot: bool | None
    """At most 5 degrees below the temperature at which it slows down; null if that is not known."""
    slowdown: GpuSlowdown | None
    sent: NvlinkUse | None
    received: NvlinkUse | None


class HotGpu(Record, frozen=True, kw_only=True, omit_defaults=False):
    """A GPU that is hot or slowed down."""

    node: str
    gpu: str
    pod: str
    state: HeatState
    celsius: float | None
    reasons: tuple[str, ...]


class JobHeat(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What is known of the heat of a job's GPUs."""

    gpus: int
    """How many the shown pods hold."""
    known: int
    """Of how many both temperature and slowdown are known."""
    unknown: str | None
    """Why some of it is not known; null if all is."""
    worst: tuple[HotGpu, ...]
    """Those that are hot or slowed down, worst first."""
    left_off: int
    """How many more of these there are."""
