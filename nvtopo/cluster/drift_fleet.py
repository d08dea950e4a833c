"""What drifts in a whole fleet: each node from what is expected of it, each rack and domain from its peers.

Without I/O, clock or thread; work is proportional to what changed, except where a rack agrees on something else.
"""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.cluster.acceptance import accepted_traits
from nvtopo.cluster.claims import NVLINK_DOMAIN, RACK
from nvtopo.cluster.deviants import Group, consensus, deviations
from nvtopo.cluster.drift import Drifts, Sight, Timing
from nvtopo.cluster.drift_findings import GroupDrift, of
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.graph import ClusterGraph
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.peers import Known, Peers
from nvtopo.cluster.traits import Fact, Shape, Traits, Value, changes, shape_of, traits_of
from nvtopo.model.changes.change import Change

#: The tiers whose domains are compared with each other.
_GROUPED: Final = (NVLINK_DOMAIN, RACK)
_TIERS: Final[Mapping[str, str]] = {RACK: "rack", NVLINK_DOMAIN: "NVLink domain"}
_LEAST_KEPT: Final = 64
_NOTHING: Final[Mapping[Fact, Value]] = MappingProxyType({})


class NodeSight(NamedTuple):
    """What is known of one node now."""

    shape: Shape
    traits: Traits
    tiers: Mapping[str, str] = MappingProxyType({})
    """Tier → domain."""
    accepted: Mapping[Fact, Value] = _NOTHING
    """What an operator accepted, fact by fact."""
    booting: bool = False
    planned: bool = False
    heard: bool = True


class FleetDrift:
    """What drifts. Moments are seconds of one clock."""

    def __init__(self, timing: Timing | None = None) -> None:
        """Nothing is known yet."""
        self._peers = Peers()
        self._nodes: dict[str, NodeSight] = {}
        self._drifts = Drifts(timing)
        self._groups = Drifts(timing)
        self._members: dict[Group, dict[str, Traits]] = {}
        self._common: dict[Group, dict[Fact, Value]] = {}
        self._differing: dict[str, Group] = {}
        self._first = True
        self._drifted: Collection[str] | None = None
        self._alike: dict[frozenset[tuple[Fact, Value]], Traits] = {}

    @property
    def drifting(self) -> Mapping[str, tuple[Change, ...]]:
        """Node → in what it drifts."""
        return self._drifts.drifting

    def see(self, changed: Mapping[str, NodeSight | None], now: float, drifted: Collection[str] | None = None) -> None:
        """Takes in nodes as they are now; None for one that is gone, or of which nothing is known.

        ``drifted`` counts the first time only: what differs of these nodes has lasted, as others have seen; None is all
        nodes, since nobody can know.
        """
        self._drifted = drifted
        changed = {name: None if sight is None else self._shared(sight) for name, sight in changed.items()}
        relearned = self._peers.see({name: _known(sight) for name, sight in changed.items()})
        groups = {group for name, sight in changed.items() for group in self._seat(name, sight)}
        for name, sight in changed.items():
            if sight is None:
                self._nodes.pop(name, None)
            else:
                self._nodes[name] = sight
        also = {name for shape in relearned for name in self._peers.nodes(shape)}
        for name in {*changed, *also}:
            self._drifts.see(name, self._sight(name), now, first=self._first, lasted=self._lasted((name,)))
        if {group for group in groups if self._agree(group)}:
            self._compare(now)
        self._first = False

    def tick(self, now: float) -> bool:
        """Whether anything drifts otherwise than before, as time passed."""
        nodes, groups = self._drifts.tick(now), self._groups.tick(now)
        return bool(nodes or groups)

    def findings(self, names: Mapping[str, str]) -> frozenset[NodeFinding]:
        """What drifts, as findings. ``names`` are the short names of domains, by ID."""
        groups = []
        for key, found in self._groups.drifting.items():
            group = self._differing[key]
            members = self._members.get(group, {})
            nodes = tuple(sorted(name for name, traits in members.items() if _has(traits, found)))
            groups.append(GroupDrift(f"{_TIERS[group.tier]} {names.get(group.id, group.id)}", nodes, found))
        return of(self._drifts.drifting, groups)

    def _shared(self, sight: NodeSight) -> NodeSight:
        """Machines that are alike share what is known of them: a fleet has few kinds."""
        if len(self._alike) > _LEAST_KEPT + 2 * len(self._nodes):
            self._alike = {frozenset(node.traits.items()): node.traits for node in self._nodes.values()}
        return sight._replace(traits=self._alike.setdefault(frozenset(sight.traits.items()), sight.traits))

    def _sight(self, name: str) -> Sight | None:
        node = self._nodes.get(name)
        if node is None:
            return None
        expected = {**self._peers.expected(node.shape), **node.accepted}
        return Sight(changes(expected, node.traits), node.booting, node.planned, node.heard)

    def _seat(self, name: str, sight: NodeSight | None) -> Iterable[Group]:
        """Moves a node between groups: those that it was in and is in. One in maintenance is in none."""
        before = self._nodes.get(name)
        was, now = _groups(before), _groups(sight)
        for group in was:
            self._members[group].pop(name, None)
        if sight is not None:
            traits = sight.traits
            if sight.accepted:
                traits = {fact: value for fact, value in traits.items() if fact not in sight.accepted}
            for group in now:
                self._members.setdefault(group, {})[name] = traits
        return {*was, *now}

    def _agree(self, group: Group) -> bool:
        """Whether the group agrees on something else now."""
        members = self._members.get(group, {})
        common = consensus(members.values())
        if not members:
            self._members.pop(group, None)
        before = self._common.pop(group, {})
        if common:
            self._common[group] = common
        return common != before

    def _compare(self, now: float) -> None:
        found = {_key(group): (group, differing) for group, differing in deviations(self._common).items()}
        known = {_key(group): group for group in self._common}
        for key in self._differing.keys() - known.keys():
            self._groups.see(key, None, now)
            del self._differing[key]
        for key, group in known.items():
            self._differing[key] = group
            differing = found[key][1] if key in found else ()
            lasted = self._lasted(self._members.get(group, ()))
            self._groups.see(key, Sight(differing), now, first=self._first, lasted=lasted)

    def _lasted(self, names: Iterable[str]) -> bool:
        return self._first and (self._drifted is None or any(name in self._drifted for name in names))


def _known(sight: NodeSight | None) -> Known | None:
    return None if sight is None or sight.planned else Known(sight.shape, sight.traits)


def _groups(sight: NodeSight | None) -> list[Group]:
    if sight is None or sight.planned:
        return []
    return [Group(tier, sight.tiers[tier], sight.shape) for tier in _GROUPED if tier in sight.tiers]


def _key(group: Group) -> str:
    return repr(tuple(group))


def _has(traits: Traits, found: Iterable[Change]) -> bool:
    return any(traits.get(Fact(change.kind, change.subject, change.path)) == change.after for change in found)


def sight_of(node: GraphNode, *, planned: bool = False) -> NodeSight | None:
    """What is known of a node of the graph; None if nothing that can be compared is."""
    shape = shape_of(node)
    if shape is None or node.topology is None:
        return None
    traits = traits_of(node)
    training = any(gpu.nvlink_training for gpu in node.topology.gpus)
    registering = node.judged is not None and node.judged.level == "registering"
    return NodeSight(
        shape,
        traits,
        node.tiers,
        accepted_traits(node, traits),
        booting=training or registering,
        planned=planned,
        heard=not node.stale,
    )


def at_once(graph: ClusterGraph) -> frozenset[NodeFinding]:
    """What differs in a graph of which only one moment is known, such as one of files."""
    return _looked(graph).findings({domain.id: domain.name for domain in graph.domains.values()})


def differing_at_once(graph: ClusterGraph) -> dict[str, dict[Fact, Value]]:
    """Node → the facts in which it differs now, as they are read."""
    found = _looked(graph).drifting
    return {
        name: {Fact(change.kind, change.subject, change.path): change.after for change in changes}
        for name, changes in found.items()
    }


def _looked(graph: ClusterGraph) -> FleetDrift:
    fleet = FleetDrift()
    fleet.see({name: sight_of(node) for name, node in graph.nodes.items() if node.in_store}, 0.0)
    fleet.tick(0.0)
    return fleet
