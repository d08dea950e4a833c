"""``ClusterGraph``: every node with its tiers, every domain with its nodes, and all findings.

A graph is built from an inventory, immutable, and replaced by one assignment, so every reader has a consistent graph of
one generation. The same inventory gives the same graph, in whatever order its nodes arrived. What did not change is
taken from the graph before, so one node's change costs as much as that node, its domains and its claims.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from immutables import Map

from nvtopo.cluster import identifiers, standing
from nvtopo.cluster.claims import TIERS, Cable, Reading
from nvtopo.cluster.domains import Domain
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.inventory import Inventory
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.ordered import Ordered
from nvtopo.cluster.records import NodeRecord
from nvtopo.cluster.standing import Conclude, Context, Standing, concluded

Names = tuple[str, ...] | None


@dataclass(frozen=True)
class ClusterGraph:
    """The cluster at one generation of the inventory."""

    generation: int
    nodes: Mapping[str, GraphNode]
    """By name, in the order of names: without tiers, unreadable, and named by others only, all are included."""
    domains: Mapping[str, Domain]
    """By ID, of all tiers: by tier, closest first, and in the order of their short names."""
    edges: tuple[Cable, ...]
    """Between nodes and switches, as the sources say; a cable that should be there and is not is one of them."""
    records: Map[str, NodeRecord]
    """What should be recorded of the nodes."""
    delta: "Delta"
    """What differs from the graph before."""
    standing: Standing = field(repr=False)
    """What the next build takes over."""

    def identifier(self, domain: Domain) -> str | None:
        """Of a domain: sorts in physical order, and never changes. None if none of its nodes has a NodeTopology."""
        number = self.standing.numbers.get((domain.tier, domain.id))
        return None if number is None else identifiers.text(domain.tier, number)

    @property
    def local(self) -> Mapping[str, GraphNode]:
        """The nodes by themselves, without what others say."""
        return self.standing.local

    @cached_property
    def drift(self) -> tuple[NodeFinding, ...]:
        """All findings, in order."""
        own = (finding for findings in self.standing.ill.values() for finding in findings)
        return tuple(sorted({*own, *self.standing.shared}))


@dataclass(frozen=True, slots=True)
class Delta:
    """What differs between two graphs; from nothing, all."""

    since: int | None
    """The generation of the graph before; None from nothing."""
    nodes: frozenset[str]
    """Nodes that are new, gone, or seen otherwise."""
    recorded: frozenset[str]
    """Nodes of which something else is recorded."""
    domains: bool
    """Whether a domain came or went."""
    moved: frozenset[str]
    """Domains that are new, gone, or otherwise, by ID."""
    appeared: frozenset[NodeFinding]
    settled: frozenset[NodeFinding]


def build(
    inventory: Inventory,
    previous: ClusterGraph | None = None,
    readings: Mapping[str, Reading] | None = None,
    now: str | None = None,
    conclude: Conclude = concluded,
) -> ClusterGraph:
    """The graph of an inventory, and of what other sources say: name → reading; by default those of the inventory.

    ``previous`` only saves work. ``now``, RFC 3339, is when new claims are recorded; without it nothing is.
    ``conclude`` never raises.
    """
    before = Standing() if previous is None else previous.standing
    after, changed, recorded = standing.step(
        before, inventory, Context(inventory.readings if readings is None else readings, now, conclude)
    )
    return ClusterGraph(
        generation=inventory.generation,
        nodes=Ordered(after.nodes, str, _names(before, after, previous, changed)),
        domains=Ordered(after.domains.domains, lambda domain: _order(after.domains.domains[domain])),
        edges=after.placed.edges,
        records=after.records,
        delta=_delta(previous, after, changed, recorded),
        standing=after,
    )


def _names(before: Standing, after: Standing, previous: ClusterGraph | None, changed: Iterable[str]) -> Names:
    """The nodes' names in order, if they are those of the graph before, and somebody asked for them."""
    if previous is None or not isinstance(previous.nodes, Ordered):
        return None
    same = all((name in before.nodes) == (name in after.nodes) for name in changed)
    return previous.nodes.names if same else None


def _order(domain: Domain) -> tuple[int, str, str]:
    return TIERS.index(domain.tier), domain.name, domain.id


def _delta(previous: ClusterGraph | None, after: Standing, changed: frozenset[str], recorded: frozenset[str]) -> Delta:
    before = Standing() if previous is None else previous.standing
    was = {finding for name in changed for finding in before.ill.get(name, ())}
    now = {finding for name in changed for finding in after.ill.get(name, ())}
    if after.shared is not before.shared:
        was |= before.shared
        now |= after.shared
    return Delta(
        since=None if previous is None else previous.generation,
        nodes=changed,
        recorded=recorded,
        domains=after.domains.births != before.domains.births,
        moved=_moved(before, after),
        appeared=frozenset(now - was),
        settled=frozenset(was - now),
    )


def _moved(before: Standing, after: Standing) -> frozenset[str]:
    """By ID, the domains that are otherwise, or have another number."""
    moved = frozenset[str]() if after.domains is before.domains else after.domains.changed
    if after.numbers is before.numbers:
        return moved
    homes = {*before.numbers, *after.numbers}
    return moved | {home[1] for home in homes if before.numbers.get(home) != after.numbers.get(home)}
