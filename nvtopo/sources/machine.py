"""The machine that sources read: a rooted ``/sys`` and ``/proc``, and access to NVML."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from nvtopo.model.records.facts import NvmlFacts
from nvtopo.model.records.record import Problem, Record
from nvtopo.model.records.snapshot import Attributes
from nvtopo.sources.sysfs import SysfsRoot

if TYPE_CHECKING:
    from nvtopo.sources.guarded import Deadlines


class Reading(NamedTuple):
    """What one source found."""

    facts: Record | Attributes | None
    """A record of ``nvtopo.model.records.facts``, or plain attributes; None if the machine has nothing of this kind."""
    problems: tuple[Problem, ...] = ()


class NvmlReading(NamedTuple):
    """What the NVIDIA driver answered."""

    facts: NvmlFacts | None
    problems: tuple[Problem, ...] = ()


class AskNvml(Protocol):
    """Asks the NVIDIA driver for everything, within a deadline."""

    @property
    def deadline_seconds(self) -> float:
        """How long an answer may take."""

    def begin(self) -> None:
        """Start asking, so that other sources can read meanwhile."""

    def finish(self) -> NvmlReading:
        """Wait for the answer, at most until the deadline; never raises."""

    def cancel(self) -> None:
        """Stop waiting, for this and all later readings. May be called from any thread and from signal handlers."""


class NoNvml:
    """A machine whose driver is not asked."""

    deadline_seconds = 0.0

    def begin(self) -> None:
        """Nothing to start."""

    def finish(self) -> NvmlReading:
        """A reading without a driver."""
        return NvmlReading(None)

    def cancel(self) -> None:
        """Nothing to wait for."""


class HearsNeighbors(Protocol):
    """Listens for LLDP."""

    def reading(self) -> Reading:
        """Who is heard now."""


class Machine(NamedTuple):
    """Everything that a source may use."""

    root: SysfsRoot
    nvml: AskNvml
    node_name: str | None = None
    """The node's name in Kubernetes; None for the host's own name."""
    lldp: HearsNeighbors | None = None
    """None if nobody listens."""
    deadlines: "Deadlines | None" = None
    """Limits the wait for sources and devices that may not answer; None waits as long as the kernel does."""
