"""All sources in their order, and one reading of them all: a snapshot."""

import time
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol, cast

from nvtopo.model.record import Problem, Record
from nvtopo.model.snapshot import VERSION, Attributes, Snapshot
from nvtopo.sources import host, kubelet, net, numa, nvml, pci, rdma, storage
from nvtopo.sources.machine import AskNvml, Machine, NoNvml, Reading
from nvtopo.sources.sysfs import SysfsRoot

#: Every source. NVML is last: its worker answers while the others read.
SOURCES: Final[tuple[ModuleType, ...]] = (host, numa, pci, net, rdma, storage, kubelet, nvml)


class Source(Protocol):
    """What a source module has."""

    NAME: str
    """Its field in ``Snapshot``, or its key in ``Snapshot.attributes``."""

    def read(self, machine: Machine) -> Reading:
        """Everything of its kind on this machine."""


def this_machine(*, root: str = "/", node_name: str | None = None, asking: AskNvml | None = None) -> Machine:
    """The live host, or one whose ``/sys`` and ``/proc`` lie below ``root``; without ``asking``, no NVML."""
    return Machine(root=SysfsRoot(root), nvml=asking or NoNvml(), node_name=node_name)


class Timed(NamedTuple):
    """A snapshot, and how long each source took."""

    snapshot: Snapshot
    seconds: dict[str, float]
    """Source → from its start to its answer; NVML's worker starts before the others."""


def read(machine: Machine, sources: tuple[ModuleType, ...] = SOURCES) -> Snapshot:
    """All facts of the machine at this moment. A source that breaks is a problem and does not hide the others."""
    return timed(machine, sources).snapshot


def timed(machine: Machine, sources: tuple[ModuleType, ...] = SOURCES) -> Timed:
    """As ``read``."""
    begun = time.monotonic()
    machine.nvml.begin()
    facts: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    attributes: dict[str, Attributes] = {}
    problems: list[Problem] = []
    for source in cast("tuple[Source, ...]", sources):
        started = begun if source.NAME == nvml.NAME else time.monotonic()
        reading = source.read(machine)
        seconds[source.NAME] = time.monotonic() - started
        problems += reading.problems
        if isinstance(reading.facts, Record):
            facts[source.NAME] = reading.facts
        elif reading.facts is not None:
            attributes[source.NAME] = reading.facts
    return Timed(Snapshot(capture=VERSION, **facts, attributes=attributes, problems=tuple(problems)), seconds)
