"""A snapshot: all the facts of one node at one moment, as one value. A capture file is one."""

from nvtopo.model.facts import (
    HostFacts,
    KubeletFacts,
    NetFacts,
    NumaFacts,
    NvmlFacts,
    PciFacts,
    RdmaFacts,
    StorageFacts,
)
from nvtopo.model.record import Problem, Record

Attributes = dict[str, str | int | bool]
"""Facts of a source that has no records of its own: names and plain values."""

VERSION = 1


class Snapshot(Record, frozen=True, kw_only=True):
    """What every source read. None: the machine has no such thing, or a problem says why not."""

    capture: int = 0
    """Version of this format; 1. Zero, the default, is what a document that is not a capture has."""
    host: HostFacts | None = None
    numa: NumaFacts | None = None
    pci: PciFacts | None = None
    net: NetFacts | None = None
    rdma: RdmaFacts | None = None
    storage: StorageFacts | None = None
    kubelet: KubeletFacts | None = None
    nvml: NvmlFacts | None = None
    attributes: dict[str, Attributes] = {}
    """Source name → facts, for sources without records of their own (CONTRIBUTING.md, "A new source")."""
    problems: tuple[Problem, ...] = ()
