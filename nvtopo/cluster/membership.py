"""Which domains every node is in, kept from graph to graph.

By their own statements alone each node's tiers are its own matter. Other sources are compared with all nodes at once,
so they are merged again if a node claims another tier than before, or if a source says something else.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from immutables import Map

from nvtopo.cluster import merge as merging
from nvtopo.cluster import zones as zoning
from nvtopo.cluster.claims import Cable, Claim, Reading, SwitchPort, Tier
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.merge import Membership
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.zones import Zones


class Placed(NamedTuple):
    """What all sources say together."""

    readings: Mapping[str, Reading] = MappingProxyType({})
    tiers: Map[str, Mapping[Tier, Membership]] = Map()
    """Of the nodes that are in any."""
    ports: Mapping[str, tuple[SwitchPort, ...]] = MappingProxyType({})
    edges: tuple[Cable, ...] = ()
    findings: tuple[NodeFinding, ...] = ()
    zones: Mapping[str, Zones] = MappingProxyType({})
    """Of the nodes that an operator's file names a zone of."""


class Step(NamedTuple):
    """What all sources say now, and the nodes of which they say something else than before."""

    placed: Placed
    changed: frozenset[str]


class Locals(NamedTuple):
    """The nodes by themselves, before and now; they differ in ``touched`` at most."""

    before: Map[str, GraphNode]
    now: Map[str, GraphNode]
    touched: Collection[str]


def step(before: Placed, local: Locals, readings: Mapping[str, Reading]) -> Step:
    """The next state."""
    moved = [name for name in local.touched if _claims(local.before, name) != _claims(local.now, name)]
    same = readings is before.readings or readings == before.readings
    if same and not moved:
        return Step(before, frozenset())
    if readings or before.readings:
        return _merged(before, local.now, readings)
    tiers = before.tiers.mutate()
    for name in moved:
        if claims := _claims(local.now, name):
            tiers[name] = merging.own(claims)
        else:
            tiers.pop(name, None)
    return Step(before._replace(tiers=tiers.finish()), frozenset(moved))


def _claims(local: Map[str, GraphNode], name: str) -> tuple[Claim, ...]:
    node = local.get(name)
    return () if node is None else node.claims


def _merged(before: Placed, local: Map[str, GraphNode], readings: Mapping[str, Reading]) -> Step:
    merged = merging.merge(readings, (claim for node in local.values() for claim in node.claims))
    names = {*before.tiers, *merged.tiers}
    moved = {name for name in names if before.tiers.get(name) != merged.tiers.get(name)}
    rewired = {name for name in {*before.ports, *merged.ports} if before.ports.get(name) != merged.ports.get(name)}
    zoned = zoning.merge(readings.values())
    rezoned = {name for name in {*before.zones, *zoned.zones} if before.zones.get(name) != zoned.zones.get(name)}
    findings = (*merged.findings, *zoned.findings)
    placed = Placed(readings, Map(merged.tiers), merged.ports, merged.edges, findings, zoned.zones)
    return Step(placed, frozenset(moved | rewired | rezoned))
