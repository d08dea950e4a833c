"""The list of all sources, and one reading of them all: a snapshot."""

import time
from functools import partial
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol, cast

from nvtopo.model.conclusions.unread import SOURCE_HANGS
from nvtopo.model.records.record import Problem, Record
from nvtopo.model.records.snapshot import VERSION, Attributes, Snapshot
from nvtopo.sources.as_text import as_text
from nvtopo.sources.kubelet import policies as kubelet
from nvtopo.sources.linux import host, neighbors, net, numa, pci, storage
from nvtopo.sources.machine import AskNvml, Machine, NoNvml, Reading
from nvtopo.sources.nvml import topology as nvml
from nvtopo.sources.rdma import devices as rdma
from nvtopo.sources.sysfs import SysfsRoot

#: What labels, resource and page are made of. NVML is last: its worker answers while the others read.
SOURCES: Final[tuple[ModuleType, ...]] = (host, numa, pci, net, rdma, storage, kubelet, neighbors, nvml)


class Source(Protocol):
    """The interface of a source module."""

    NAME: str
    """Its field in ``Snapshot``, or its key in ``Snapshot.attributes``."""

    def read(self, machine: Machine) -> Reading:
        """Everything of its kind on this machine."""


def all_sources() -> tuple[ModuleType, ...]:
    """Every source: also what only a capture holds and only ``doctor`` judges. Their import is no dump's matter."""
    from nvtopo.sources.kubelet import hints, memory
    from nvtopo.sources.linux import container_runtime, imex, iopath, qos

    return (*SOURCES[:-1], qos, container_runtime, imex, iopath, memory, hints, nvml)


def this_machine(*, root: str = "/", node_name: str | None = None, asking: AskNvml | None = None) -> Machine:
    """The live host, or one whose ``/sys`` and ``/proc`` lie below ``root``; without ``asking``, no NVML."""
    return Machine(root=SysfsRoot(root), nvml=asking or NoNvml(), node_name=node_name)


class Timed(NamedTuple):
    """A snapshot, and how long each source took."""

    snapshot: Snapshot
    seconds: dict[str, float]
    """Source → seconds from its start to its answer; NVML's worker starts before the others."""


def read(machine: Machine, sources: tuple[ModuleType, ...] = SOURCES) -> Snapshot:
    """All facts of the machine at this moment.

    Where the machine has deadlines, a source that hangs becomes a problem and does not stop the others.
    """
    return timed(machine, sources).snapshot


def timed(machine: Machine, sources: tuple[ModuleType, ...] = SOURCES) -> Timed:
    """As ``read``, and how long each source took."""
    begun = time.monotonic()
    machine.nvml.begin()
    facts: dict[str, Any] = {}
    attributes: dict[str, Attributes] = {}
    problems: list[Problem] = []
    answers = _answers(machine, cast("tuple[Source, ...]", sources), begun)
    for name, (reading, _) in answers.items():
        problems += reading.problems
        if isinstance(reading.facts, Record):
            facts[name] = reading.facts
        elif reading.facts is not None:
            attributes[name] = reading.facts
    snapshot = Snapshot(capture=VERSION, **facts, attributes=attributes, problems=tuple(problems))
    return Timed(snapshot, {name: seconds for name, (_, seconds) in answers.items()})


def _answers(machine: Machine, sources: tuple[Source, ...], begun: float) -> dict[str, tuple[Reading, float]]:
    """Source → its reading and how long it took, in the order of the sources.

    NVML has a deadline of its own. Without deadlines the others are called in this thread: a dump starts none.
    """
    functions = {source.NAME: partial(_read_one, source, machine) for source in sources if source.NAME != nvml.NAME}
    if machine.deadlines is None:
        found = {name: function() for name, function in functions.items()}
    else:
        began = time.monotonic()
        answered = machine.deadlines.sources.each(functions)
        waited = time.monotonic() - began
        found = answered.by_subject | {name: (_hangs(name), waited) for name in answered.hanging}
    for source in sources:
        if source.NAME == nvml.NAME:
            found[source.NAME] = (as_text(source.read(machine)), time.monotonic() - begun)
    return {source.NAME: found[source.NAME] for source in sources}


def _read_one(source: Source, machine: Machine) -> tuple[Reading, float]:
    began = time.monotonic()
    return as_text(source.read(machine)), time.monotonic() - began


def _hangs(name: str) -> Reading:
    return Reading(None, (Problem(source=name, subject=name, reason=SOURCE_HANGS),))
