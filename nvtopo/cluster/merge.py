"""One merge of what all sources say: each node's domain in each tier, with the sources that say so.

Sources name one domain differently: the domain of NVML's cluster UUID is ``rack11`` in a topology file. So groups are
compared, not names: two names mean one domain if more than half of the nodes that both sources place are the same, seen
from either side. A source that places a node elsewhere is a finding that names both sources, and the source that ranks
first decides. A source that contradicts itself about a node does not count for that node.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.cluster.claims import TIERS, Cable, Claim, Reading, SwitchPort, Tier
from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.model.formats.listing import listed

#: The rank of a source, the first decides: an operator's file that says that it wins, what was observed on the wire,
#: files, labels. The part of a source before "/" counts where it is not here itself; sources not here are files.
_RANKS: Final[Mapping[str, int]] = MappingProxyType(
    {"file/wins": 0, "nvml": 1, "platform": 2, "ibnetdiscover": 3, "lldp": 4, "labels": 6}
)
_FILE: Final = 5
#: What a node says of itself.
_OWN: Final = frozenset(("nvml", "platform"))
#: Longest list of names in a sentence.
_MOST_NAMES: Final = 6


class Membership(NamedTuple):
    """The domain of a node in one tier."""

    id: str
    sources: tuple[str, ...]
    """Who says so; the one that decides comes first."""


class Merged(NamedTuple):
    """What all sources say together."""

    tiers: Mapping[str, Mapping[Tier, Membership]]
    """Node → tier, closest first → domain."""
    ports: Mapping[str, tuple[SwitchPort, ...]]
    """Node → the switches that its NICs are on, by rail and plane."""
    edges: tuple[Cable, ...]
    findings: tuple[NodeFinding, ...]


def rank(source: str) -> tuple[int, str]:
    """Sorts sources: the one that decides comes first."""
    return _RANKS.get(source, _RANKS.get(source.partition("/")[0], _FILE)), source


def own(claims: Iterable[Claim]) -> Mapping[Tier, Membership]:
    """The tiers of a node by its own statement alone: what ``merge`` makes of it if nobody else says anything."""
    return {claim.tier: Membership(claim.id, (claim.source,)) for claim in claims}


def merge(readings: Mapping[str, Reading], own: Iterable[Claim] = ()) -> Merged:
    """All readings, and the claims that nodes make of themselves."""
    findings = [finding for reading in readings.values() for finding in reading.findings]
    findings += [_refused(name, reading.refused) for name, reading in readings.items() if reading.refused is not None]
    by_tier: dict[Tier, dict[str, dict[str, set[str]]]] = {tier: {} for tier in TIERS}
    for claim in chain(own, *(reading.claims for reading in readings.values())):
        by_tier[claim.tier].setdefault(claim.source, {}).setdefault(claim.node, set()).add(claim.id)
    tiers: dict[str, dict[Tier, Membership]] = {}
    for tier, sources in by_tier.items():
        for node, membership in _tier(tier, sources, findings).items():
            tiers.setdefault(node, {})[tier] = membership
    ports = [port for reading in readings.values() for port in reading.ports]
    cables = [cable for reading in readings.values() for cable in reading.cables]
    return Merged(_distinct(tiers), _by_node(ports), _edges(cables, ports), tuple(sorted(set(findings))))


def _tier(
    tier: Tier, sources: Mapping[str, Mapping[str, set[str]]], findings: list[NodeFinding]
) -> dict[str, Membership]:
    """Node → domain in one tier; what does not fit is added to ``findings``."""
    merged: dict[str, Membership] = {}
    for source in sorted(sources, key=rank):
        said = {node: next(iter(ids)) for node, ids in sources[source].items() if len(ids) == 1}
        findings += _contradictions(tier, source, sources[source])
        same = _same(said, merged)
        apart: dict[tuple[str, str, str], list[str]] = {}
        for node, domain in said.items():
            known, domain_here = merged.get(node), same.get(domain, domain)
            if known is None:
                merged[node] = Membership(domain_here, (source,))
            elif known.id == domain_here:
                merged[node] = known._replace(sources=(*known.sources, source))
            else:
                apart.setdefault((known.sources[0], known.id, domain), []).append(node)
        for (decides, here, there), nodes in apart.items():
            some = listed(sorted(nodes), _MOST_NAMES)
            what = f"{tier} of {some} is {here} for {decides} and {there} for {source}; {decides} decides"
            findings.append(found("tier", tuple(sorted(nodes)), what))
    return merged


def _same(said: Mapping[str, str], merged: Mapping[str, Membership]) -> dict[str, str]:
    """A source's name of a domain → the name it has already, where both mean the same nodes."""
    pairs = Counter((domain, merged[node].id) for node, domain in said.items() if node in merged)
    theirs: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    for (domain, known), count in pairs.items():
        theirs[domain] += count
        ours[known] += count
    return {
        domain: known
        for (domain, known), count in pairs.items()
        if 2 * count > theirs[domain] and 2 * count > ours[known]
    }


def _contradictions(tier: Tier, source: str, said: Mapping[str, set[str]]) -> Iterator[NodeFinding]:
    for node, ids in said.items():
        if len(ids) > 1:
            some = listed(sorted(ids), _MOST_NAMES)
            yield found("tier", (node,), f"{source} names {len(ids)} domains of {node} as its {tier}: {some}")


def _refused(name: str, reason: str) -> NodeFinding:
    return found("source", (), f"{name}: {reason}", subject=name)


def _distinct(tiers: dict[str, dict[Tier, Membership]]) -> Mapping[str, Mapping[Tier, Membership]]:
    """With IDs that belong to one tier only: where tiers share one, all but the first are called ``<tier>/<ID>``.

    First are the tiers where a fabric, file or label names it, then the closest one: no node's own statement renames
    what others know.
    """
    ranks: dict[str, set[tuple[bool, Tier]]] = {}
    for memberships in tiers.values():
        for tier, one in memberships.items():
            ranks.setdefault(one.id, set()).add((_OWN.issuperset(one.sources), tier))
    owners = {
        identifier: min(found, key=lambda one: (one[0], TIERS.index(one[1])))[1] for identifier, found in ranks.items()
    }
    return {
        node: {
            tier: one if owners[one.id] == tier else one._replace(id=f"{tier}/{one.id}")
            for tier, one in memberships.items()
        }
        for node, memberships in tiers.items()
    }


def _by_node(ports: Iterable[SwitchPort]) -> Mapping[str, tuple[SwitchPort, ...]]:
    found: dict[str, set[SwitchPort]] = {}
    for port in ports:
        found.setdefault(port.node, set()).add(port)
    return {node: tuple(sorted(several, key=_port_order)) for node, several in found.items()}


def _port_order(port: SwitchPort) -> tuple[bool, int, bool, int, str, str, str, str]:
    """By rail and plane; what is not known comes last."""
    rail, plane = port.rail, port.plane
    return (rail is None, rail or 0, plane is None, plane or 0, port.nic, port.leaf, port.port, port.source)


def _edges(cables: Iterable[Cable], ports: Iterable[SwitchPort]) -> tuple[Cable, ...]:
    heard = (Cable(min(port.node, port.leaf), max(port.node, port.leaf), port.source) for port in ports)
    return tuple(sorted({*cables, *heard}))
