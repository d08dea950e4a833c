"""What the HTTP API answers: one record for each kind of document. The OpenAPI description is derived from them."""

from nvtopo.exporters.document import DomainEntry, Drift, NodeEntry
from nvtopo.model.conclusions.nvlink_path import RateSource
from nvtopo.model.records.record import Record
from nvtopo.model.records.spec import Spec
from nvtopo.sinks.document.derived import DerivedDocument


class Error(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What went wrong, in one line."""

    error: str


class NodesDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Every node of the graph."""

    generation: int
    nodes: dict[str, NodeEntry]


class NodeDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One node: its facts, what follows from them, and its place in the graph."""

    generation: int
    name: str
    spec: Spec | None
    """Null where the node's object cannot be read; the entry's problems say why."""
    derived: DerivedDocument | None
    entry: NodeEntry


class PairEntry(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What two GPUs of a node talk over."""

    a: str
    b: str
    link: str | None
    """``NV18``, or the PCIe level; null if it is not known."""
    level: str | None
    """How near the two are on PCIe; null if NVLink connects them, or it is not known."""
    nvlinks: int | None
    """How many usable NVLinks; null if PCIe connects the two."""
    bytes_per_second: int | None
    """One direction; null if it is not known."""
    source: RateSource | None
    """``driver``: the driver reports the links' rate. ``table``: nominal rate of the link's generation."""


class PairsDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """The GPU pairs of one node."""

    generation: int
    name: str
    pairs: tuple[PairEntry, ...] | None
    """Every pair once; null if the node's object can't be read, or the node has said nothing itself."""


class DomainsDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Every domain of every tier."""

    generation: int
    domains: dict[str, DomainEntry]


class DomainDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """One domain, and what lies in it."""

    generation: int
    id: str
    entry: DomainEntry
    nodes: dict[str, NodeEntry]
    domains: dict[str, DomainEntry]
    """Those of other tiers all of whose nodes are in it."""
    drift: tuple[Drift, ...]
    """Findings about its nodes."""


class DriftDocument(Record, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that does not fit."""

    generation: int
    drift: tuple[Drift, ...]
