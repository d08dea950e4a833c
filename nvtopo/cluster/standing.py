"""What a graph is made of, stage by stage, and how one follows from the one before: each stage takes what changed.

node by itself → its claims and record → its tiers → domains → findings of all → the node as others see it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from immutables import Map

from nvtopo.cluster import disputes, domain_index, membership, numbering
from nvtopo.cluster import nodes as concluding
from nvtopo.cluster import records as recording
from nvtopo.cluster import zones as zoning
from nvtopo.cluster.claims import NVLINK_DOMAIN, Reading, Tier
from nvtopo.cluster.disputes import Claimants, Ruling
from nvtopo.cluster.domain_index import Home, Index, MovedNode
from nvtopo.cluster.domains import Member
from nvtopo.cluster.findings import NodeFinding
from nvtopo.cluster.inventory import Inventory
from nvtopo.cluster.membership import Locals, Placed
from nvtopo.cluster.nodes import GraphNode, Seen
from nvtopo.cluster.numbering import Cluster, Numbers
from nvtopo.cluster.records import IdentifierRecord, Key, NodeRecord
from nvtopo.errors import reason_of
from nvtopo.model.records.node import NodeTopology


class Standing(NamedTuple):
    """All stages of one graph."""

    inventory: Inventory | None = None
    local: Map[str, GraphNode] = Map()
    """The nodes by themselves."""
    ill: Map[str, tuple[NodeFinding, ...]] = Map()
    """Their findings by themselves, of those that have any."""
    records: Map[str, NodeRecord] = Map()
    claimants: Claimants = Claimants()
    rulings: Map[Key, Ruling] = Map()
    placed: Placed = Placed()
    members: Map[str, Member] = Map()
    """The nodes as their domains see them."""
    domains: Index = Index()
    numbers: Map[Home, int] = Map()
    """The numbers of the domains that have a member with a NodeTopology."""
    shared: frozenset[NodeFinding] = frozenset()
    """Findings from comparing nodes and sources with each other."""
    about: Mapping[str, tuple[NodeFinding, ...]] = MappingProxyType({})
    """The same, by node."""
    disputed: Mapping[str, frozenset[Key]] = MappingProxyType({})
    nodes: Map[str, GraphNode] = Map()
    """The nodes as others see them."""


Conclude = Callable[[str, NodeTopology], GraphNode]


class Context(NamedTuple):
    """What a graph is built of beside the inventory."""

    readings: Mapping[str, Reading]
    now: str | None
    """RFC 3339, for what is recorded; None records nothing."""
    conclude: Conclude
    """A node by itself; never raises."""


class Step(NamedTuple):
    """A standing, and the nodes that differ from the one before."""

    standing: Standing
    changed: frozenset[str]
    recorded: frozenset[str]
    """Of which something else is recorded."""


def step(before: Standing, inventory: Inventory, context: Context) -> Step:
    """The next standing."""
    readings, now, conclude = context
    touched = _touched(before.inventory, inventory)
    local = _local(before.local, inventory, touched, conclude)
    records = inventory.records if now is None else _recorded(inventory.records, local, touched, now)
    keys = ((name, disputes.keys(before.local.get(name)), disputes.keys(local.get(name))) for name in touched)
    claimants = disputes.moved(before.claimants, keys)
    rulings = disputes.rulings(before.rulings, claimants, records, touched)
    placed, moved = membership.step(before.placed, Locals(before.local, local, touched), readings)
    members = _members(before.members, {*touched, *moved}, local, placed, records)
    seats = (MovedNode(name, before.members.get(name), members.get(name)) for name in {*touched, *moved})
    index = domain_index.moved(before.domains, seats)
    numbers, records, noted = _numbers(before, Cluster(index, local, records), members, {*touched, *moved}, now)
    same = rulings is before.rulings and index is before.domains and placed is before.placed
    same &= before.inventory is not None and inventory.drift == before.inventory.drift
    shared = before.shared if same else _shared(rulings, index, placed) | inventory.drift
    draft = Standing(
        inventory=inventory,
        local=local,
        ill=_ill(before.ill, local, touched),
        records=records,
        claimants=claimants,
        rulings=rulings,
        placed=placed,
        members=members,
        domains=index,
        numbers=numbers,
        shared=shared,
        about=before.about if shared is before.shared else _by_node(shared),
        disputed=before.disputed if rulings is before.rulings else disputes.disputed(rulings.values()),
    )
    affected = {*touched, *moved}
    if shared is not before.shared:
        affected.update(name for finding in shared ^ before.shared for name in finding.nodes)
    if rulings is not before.rulings:
        judged = {*rulings.values()} ^ {*before.rulings.values()}
        affected.update(name for ruling in judged for name in ruling.claimants)
    nodes, changed = _seen(before, draft, affected)
    recorded = frozenset(name for name in noted if before.records.get(name) != records.get(name))
    return Step(draft._replace(nodes=nodes), changed, recorded)


def _shared(rulings: Mapping[Key, Ruling], domains: Index, placed: Placed) -> frozenset[NodeFinding]:
    return frozenset((*disputes.findings(rulings), *domain_index.findings(domains), *placed.findings))


def _touched(before: Inventory | None, inventory: Inventory) -> Collection[str]:
    """The nodes that may differ."""
    if before is None:
        return {*inventory.nodes, *inventory.unreadable}
    if inventory.mark is before.mark:
        return ()
    if inventory.base is before.mark:
        return inventory.touched
    both = (before, inventory)
    return {name for one in both for name in (*one.nodes, *one.unreadable, *one.silent)}


def _local(
    before: Map[str, GraphNode], inventory: Inventory, touched: Iterable[str], conclude: Conclude
) -> Map[str, GraphNode]:
    local = before.mutate()
    for name in touched:
        known, topology, reason = before.get(name), inventory.nodes.get(name), inventory.unreadable.get(name)
        if reason is not None:
            local[name] = concluding.unreadable(name, reason)
        elif topology is None:
            local.pop(name, None)
        elif known is None or known.topology is not topology:
            local[name] = conclude(name, topology)
    return local.finish()


def concluded(name: str, topology: NodeTopology) -> GraphNode:
    """The node; an unreadable one if nothing can be concluded from it."""
    try:
        return concluding.readable(name, topology)
    except Exception as error:  # noqa: BLE001 - whatever one node causes stays with it
        return concluding.unreadable(name, reason_of(error))


def _recorded(
    known: Map[str, NodeRecord], local: Map[str, GraphNode], touched: Iterable[str], now: str
) -> Map[str, NodeRecord]:
    """With what nodes claim for the first time. An unreadable node claims nothing, and loses nothing."""
    records, changed = known.mutate(), False
    for name in touched:
        node = local.get(name)
        if node is None or node.topology is None:
            continue
        record = known.get(name, recording.EMPTY)
        domains = {("domain", claim.id) for claim in node.claims if claim.tier == NVLINK_DOMAIN}
        stamped = recording.stamped(record, disputes.keys(node) | domains, now)
        if stamped is not record:
            records[name], changed = stamped, True
    return records.finish() if changed else known


def _members(
    before: Map[str, Member],
    names: Iterable[str],
    local: Map[str, GraphNode],
    placed: Placed,
    records: Map[str, NodeRecord],
) -> Map[str, Member]:
    members = before.mutate()
    for name in names:
        node, found = local.get(name), placed.tiers.get(name)
        tiers: dict[Tier, str] = {} if found is None else {tier: one.id for tier, one in found.items()}
        if node is None and not tiers:
            members.pop(name, None)
            continue
        node = node or concluding.named(name)
        gpus = node.topology.gpus if node.topology is not None else ()
        since = recording.since(records.get(name), ("domain", tiers.get(NVLINK_DOMAIN, "")))
        members[name] = Member(
            name, node.position, MappingProxyType(tiers), len(gpus), gpus[0].name if gpus else "", since
        )
    return members.finish()


class _Numbered(NamedTuple):
    numbers: Numbers
    records: Map[str, NodeRecord]
    looked_at: set[str]


def _numbers(
    before: Standing, cluster: Cluster, members: Map[str, Member], names: set[str], now: str | None
) -> _Numbered:
    """The domains' numbers, and the records with them if there is a clock."""
    told = any(_identifiers(before.records, name) != _identifiers(cluster.records, name) for name in names)
    if now is None or told:
        numbers = numbering.of(cluster)
    else:
        both = (one.get(name) for name in names for one in (before.members, members))
        homes = {home for member in both if member is not None for home in member.tiers.items()}
        numbers = numbering.step(before.numbers, homes, cluster)
    if numbers is not before.numbers:
        homes = {home for home in {*numbers, *before.numbers} if numbers.get(home) != before.numbers.get(home)}
        names = names | {name for home in homes for name in cluster.domains.members.get(home, ())}
    records = cluster.records if now is None else numbering.noted(cluster, members, names, numbers)
    return _Numbered(numbers, records, names)


def _identifiers(records: Map[str, NodeRecord], name: str) -> tuple[IdentifierRecord, ...]:
    return records.get(name, recording.EMPTY).identifiers


def _ill(
    before: Map[str, tuple[NodeFinding, ...]], local: Map[str, GraphNode], touched: Iterable[str]
) -> Map[str, tuple[NodeFinding, ...]]:
    ill = before.mutate()
    for name in touched:
        node = local.get(name)
        if node is not None and node.findings:
            ill[name] = node.findings
        else:
            ill.pop(name, None)
    return ill.finish()


def _by_node(shared: Iterable[NodeFinding]) -> Mapping[str, tuple[NodeFinding, ...]]:
    about: dict[str, list[NodeFinding]] = {}
    for finding in sorted(shared):
        for name in finding.nodes:
            about.setdefault(name, []).append(finding)
    return {name: tuple(findings) for name, findings in about.items()}


def _seen(before: Standing, draft: Standing, affected: Iterable[str]) -> tuple[Map[str, GraphNode], frozenset[str]]:
    """The nodes as others see them; one that did not change stays the same object."""
    nodes, changed = before.nodes.mutate(), set()
    for name in affected:
        known, node = before.nodes.get(name), _joined(draft, name)
        if node is None:
            if nodes.pop(name, None) is not None:
                changed.add(name)
        elif known is None or before.local.get(name) is not draft.local.get(name) or not _alike(known, node):
            nodes[name] = node
            changed.add(name)
    return nodes.finish(), frozenset(changed)


def _joined(draft: Standing, name: str) -> GraphNode | None:
    own, placed = draft.local.get(name), draft.placed
    if own is None and not any(name in said for said in (placed.tiers, placed.ports, placed.zones)):
        return None
    node = own or concluding.named(name)
    claimed = draft.disputed.get(name, frozenset())
    seen = Seen(
        placed.tiers.get(name, MappingProxyType({})),
        placed.ports.get(name, ()),
        draft.about.get(name, ()),
        disputes.cells(node, claimed) if claimed else (),
        None if draft.inventory is None else draft.inventory.accepted.get(name),
        placed.zones.get(name, zoning.NONE),
    )
    joined = concluding.joined(node, seen)
    silent = draft.inventory.silent if draft.inventory is not None else {}
    return concluding.silent(joined, silent[name]) if name in silent and own is not None else joined


def _alike(one: GraphNode, other: GraphNode) -> bool:
    """Whether all that others say of a node is the same."""
    return _seen_of(one) == _seen_of(other)


def _seen_of(node: GraphNode) -> tuple[object, ...]:
    heard = node.stale, node.last_heard
    told = node.tiers, node.tier_sources, node.rails, node.zones
    return *told, node.findings, node.disputed, node.accepted, heard
