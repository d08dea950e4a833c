"""Events of a store, of the agents' silence and of drift: what the inventory is folded from."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nvtopo.cluster.accepted import Acceptance
from nvtopo.cluster.claims import Reading
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.history import History
from nvtopo.cluster.records import NodeRecord
from nvtopo.model.records.node import NodeTopology

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Listed(NamedTuple):
    """The whole content of the store at once: replaces everything known before."""

    nodes: Mapping[str, NodeTopology]
    unreadable: Mapping[str, str] = _NONE
    """Objects that do not match the schema: name → reason."""
    records: Mapping[str, NodeRecord] = _NONE
    """What is recorded of the nodes, if anything is."""
    histories: Mapping[str, History] = _NONE
    """Their audit trails. They are no part of a graph."""


class Applied(NamedTuple):
    """A node's topology was written."""

    name: str
    topology: NodeTopology


class Unreadable(NamedTuple):
    """A node's object was written and does not match the schema."""

    name: str
    reason: str


class Refused(NamedTuple):
    """A node's topology was read, and nothing can be concluded from it."""

    name: str
    topology: NodeTopology
    """As long as the node has this one: what was written meanwhile is judged anew."""
    reason: str


class Recorded(NamedTuple):
    """What the API server keeps of a node was written, by this replica or the one that leads."""

    name: str
    record: NodeRecord
    history: History = ()


class Deleted(NamedTuple):
    """A node's object is gone."""

    name: str


class Silent(NamedTuple):
    """All nodes whose agents are not heard any more: replaces those known before."""

    nodes: Mapping[str, str | None]
    """Name → when it was last heard, RFC 3339; None if that is not known."""


class Drifted(NamedTuple):
    """All that differs from what is expected: replaces what was known before."""

    findings: frozenset[NodeFinding]


class TiersReported(NamedTuple):
    """What one source beside the nodes reports of tiers now: replaces what it said before."""

    source: str
    """Files, node labels, …: each replaces only what it said itself."""
    readings: Mapping[str, Reading]
    """Name → reading; none takes back all that it said."""


class Accepted(NamedTuple):
    """All that operators accepted: replaces what was known before."""

    nodes: Mapping[str, Acceptance]


StoreEvent = Listed | Applied | Unreadable | Recorded | Deleted
"""What a store reports."""
Event = StoreEvent | Silent | Drifted | Accepted | Refused | TiersReported
