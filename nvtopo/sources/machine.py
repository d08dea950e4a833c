"""The machine that sources read: a rooted ``/sys`` and ``/proc``, and a way to ask NVML."""

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nvtopo.model.facts import NvmlFacts
from nvtopo.model.record import Problem, Record
from nvtopo.model.snapshot import Attributes
from nvtopo.sources.sysfs import SysfsRoot

if TYPE_CHECKING:
    from nvtopo.sources.patience import Patience


class Reading(NamedTuple):
    """What one source found."""

    facts: Record | Attributes | None
    """A record of ``nvtopo.model.facts``, or plain attributes; None where the machine has no such thing."""
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
        """The answer; never raises and never waits longer than the deadline."""

    def cancel(self) -> None:
        """Wait no more, now and for good; from any thread, and from signal handlers."""


class NoNvml:
    """A machine whose driver is not asked."""

    deadline_seconds = 0.0

    def begin(self) -> None:
        """Nothing to start."""

    def finish(self) -> NvmlReading:
        """No driver."""
        return NvmlReading(None)

    def cancel(self) -> None:
        """Nothing to wait for."""


class Machine(NamedTuple):
    """Everything a source may touch."""

    root: SysfsRoot
    nvml: AskNvml
    node_name: str | None = None
    """The node's name in Kubernetes; None for the host's own name."""
    patience: "Patience[Any] | None" = None
    """For devices whose firmware may not answer; None to wait for them as long as the kernel does."""
