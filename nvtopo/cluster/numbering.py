"""The domains' numbers, kept from graph to graph: found anew if a domain comes or goes, or another one is recorded."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from immutables import Map

from nvtopo.cluster import identifiers
from nvtopo.cluster import records as recording
from nvtopo.cluster.claims import TIERS
from nvtopo.cluster.domain_index import Home, Index
from nvtopo.cluster.domains import Member, natural
from nvtopo.cluster.identifiers import Numbered, Vote
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.records import IdentifierRecord, NodeRecord

Numbers = Map[Home, int]
Records = Map[str, NodeRecord]


class Cluster(NamedTuple):
    """What numbers depend on."""

    domains: Index
    local: Map[str, GraphNode]
    """The nodes with a NodeTopology: numbers are recorded with them."""
    records: Records


def step(before: Numbers, homes: Iterable[Home], cluster: Cluster) -> Numbers:
    """The numbers after these domains' members changed."""
    if all((home in before) == _is_recorded(home, cluster) for home in homes):
        return before
    return of(cluster)


def of(cluster: Cluster) -> Numbers:
    """All numbers, from what is recorded. A domain none of whose nodes has a NodeTopology has none."""
    found: dict[Home, int] = {}
    votes: dict[str, list[Vote]] = {tier: [] for tier in TIERS}
    for name, record in cluster.records.items():
        for entry in record.identifiers:
            votes[entry.tier].append(Vote(name, entry.id, entry.number))
    for tier in TIERS:
        homes = [home for home in cluster.domains.members if home[0] == tier and _is_recorded(home, cluster)]
        domains = [_numbered(home, cluster.domains) for home in homes]
        found |= {(tier, identifier): number for identifier, number in identifiers.assign(domains, votes[tier]).items()}
    return Map(found)


def noted(cluster: Cluster, members: Mapping[str, Member], names: Iterable[str], numbers: Numbers) -> Records:
    """The records, with the numbers of these nodes' domains. Of a tier that a node has left, the last one stays."""
    records, changed = cluster.records.mutate(), False
    for name in names:
        member = members.get(name)
        if member is None or name not in cluster.local:
            continue
        record = cluster.records.get(name, recording.EMPTY)
        entries = {entry.tier: entry for entry in record.identifiers}
        for tier, identifier in member.tiers.items():
            if (tier, identifier) in numbers:
                number = numbers[tier, identifier]
                entries[tier] = IdentifierRecord(tier=tier, id=identifier, number=number)
        found = recording.ordered(entries.values())
        if found != record.identifiers:
            records[name], changed = NodeRecord(claims=record.claims, identifiers=found), True
    return records.finish() if changed else cluster.records


def _is_recorded(home: Home, cluster: Cluster) -> bool:
    return any(name in cluster.local for name in cluster.domains.members.get(home, ()))


def _numbered(home: Home, index: Index) -> Numbered:
    domain, members = index.domains[home[1]], index.members[home]
    place = members[domain.nodes[0]].position.order()
    return Numbered(home[1], (place, natural(domain.name)), domain.nodes)
