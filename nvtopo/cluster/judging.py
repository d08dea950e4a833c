"""How well a node is by itself, remembered by what that depends on.

Nodes of one kind differ in identifiers: UUIDs, GUIDs, places in a rack, neighbors, the exact size of their memory.
None of these is shown to what judges, so the verdict on one node is the verdict on all that are alike. A node is judged
by itself if one of its problems names a GPU by its UUID.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from nvtopo.model.conclusions import fabric, health, rails, unread
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.conclusions.fabric import Verdict
from nvtopo.model.conclusions.health import NodeHealth
from nvtopo.model.conclusions.health_kinds import Level
from nvtopo.model.records.node import NodeTopology

#: Of different nodes: a fleet has a few dozen kinds, and some that are ill, each in its own way.
_MOST_KINDS: Final = 1024


class Judged(NamedTuple):
    """What one node is by itself."""

    health: NodeHealth
    cells: Mapping[str, Level]
    """``GPU0`` → its level, and the address or module of each GPU that does not answer → its."""
    fabric: Verdict
    rail_nics: int | None
    """Number of its NICs of the compute network; None if it is not known."""


def judge(topology: NodeTopology) -> Judged:
    """How well the node is by itself."""
    if _names_a_uuid(topology):
        return _judge(topology)
    alike = without_identifiers(topology)
    return _remembered(_Kind(msgspec.msgpack.encode(alike), alike))


def derived_of(topology: NodeTopology) -> Derived:
    """All that follows from the node, remembered in the same way; it is shared, and not to be changed."""
    if _names_a_uuid(topology):
        return derive(topology)
    alike = without_identifiers(topology)
    return _derived(_Kind(msgspec.msgpack.encode(alike), alike))


def without_identifiers(topology: NodeTopology) -> NodeTopology:
    """The node as others of its kind are."""
    return replace(
        topology,
        gpus=tuple([replace(gpu, uuid="", platform=None) for gpu in topology.gpus]),
        nics=tuple([replace(nic, guid="") if nic.guid else nic for nic in topology.nics]),
        numa=tuple([replace(numa, memory_bytes=None) for numa in topology.numa]),
        neighbors=(),
        nvmes=(),
        attributes={},
    )


def _names_a_uuid(topology: NodeTopology) -> bool:
    return bool(topology.problems) and not {gpu.uuid for gpu in topology.gpus}.isdisjoint(
        problem.subject for problem in topology.problems
    )


class _Kind:
    """A node, equal to all that are alike."""

    __slots__ = ("encoded", "topology")

    def __init__(self, encoded: bytes, topology: NodeTopology) -> None:
        self.encoded = encoded
        self.topology = topology

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Kind) and self.encoded == other.encoded


@lru_cache(_MOST_KINDS)
def _remembered(kind: _Kind) -> Judged:
    return _judge(kind.topology)


@lru_cache(_MOST_KINDS)
def _derived(kind: _Kind) -> Derived:
    return derive(kind.topology)


def _judge(topology: NodeTopology) -> Judged:
    roles = rails.roles(topology, Distances(topology))
    judged = health.of(topology, roles)
    return Judged(
        judged,
        MappingProxyType(_cells(topology, judged)),
        fabric.node_verdict(topology),
        _rail_nics(topology, roles),
    )


def _cells(topology: NodeTopology, judged: NodeHealth) -> dict[str, Level]:
    cells: dict[str, Level] = {gpu.key: judged.gpus[gpu.index].level for gpu in topology.gpus}
    return cells | {name: slot.level for name, slot in judged.slots.items()}


def _rail_nics(topology: NodeTopology, roles: Mapping[str, rails.Role]) -> int | None:
    read = "nics" not in topology.unseen and not unread.touched(topology) & unread.OF_DEVICES
    return list(roles.values()).count("compute") if roles and read else None
