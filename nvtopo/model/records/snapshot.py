"""A snapshot: all the facts of one node at one moment, as one value. A capture file is one."""

from typing import Annotated

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.facts import (
    DeviceHints,
    HostFacts,
    ImexFacts,
    IoPathFacts,
    KubeletFacts,
    LldpFacts,
    MemoryFacts,
    NetFacts,
    NumaFacts,
    NvmlFacts,
    PciFacts,
    QosFacts,
    RdmaFacts,
    RuntimeFacts,
    StorageFacts,
)
from nvtopo.model.records.record import Name, Problem, Record, Text

Value = Text | Annotated[int, Meta(ge=-limits.HIGHEST_BYTES, le=limits.HIGHEST_BYTES)] | bool
Attributes = Annotated[dict[Name, Value], Meta(max_length=limits.MOST_ATTRIBUTES)]
"""Facts of a source that has no records of its own: names and plain values."""

VERSION = 1


class Snapshot(Record, frozen=True, kw_only=True):
    """What every source read. None if the machine has nothing of this kind, or if a problem explains why."""

    capture: int = 0
    """Version of this format; 1. Zero, the default, is what a document that is not a capture has."""
    host: HostFacts | None = None
    numa: NumaFacts | None = None
    pci: PciFacts | None = None
    net: NetFacts | None = None
    rdma: RdmaFacts | None = None
    storage: StorageFacts | None = None
    lldp: LldpFacts | None = None
    kubelet: KubeletFacts | None = None
    qos: QosFacts | None = None
    runtime: RuntimeFacts | None = None
    imex: ImexFacts | None = None
    iopath: IoPathFacts | None = None
    memory: MemoryFacts | None = None
    hints: DeviceHints | None = None
    nvml: NvmlFacts | None = None
    attributes: Annotated[dict[Name, Attributes], Meta(max_length=limits.MOST_ATTRIBUTES)] = {}
    """Source name → facts, for sources without records of their own (CONTRIBUTING.md, "A new source")."""
    problems: tuple[Problem, ...] = ()
