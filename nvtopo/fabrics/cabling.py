"""Cables that are missing, swapped, or in another rack's switch: what a host has against what its peers have."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nvtopo.cluster.findings import NodeFinding
from nvtopo.fabrics import checks, rails
from nvtopo.fabrics.grouping import Groups
from nvtopo.fabrics.rails import Attachment, Rails, Slot
from nvtopo.model.conclusions.order import natural


class Compared(NamedTuple):
    """What comparing peers gives."""

    findings: tuple[NodeFinding, ...]
    missing: tuple[tuple[str, str], ...]
    """Host and leaf, of cables that should be there."""
    moved: Mapping[tuple[str, Slot], str]
    """Host and NIC on another leaf than that of its peers → theirs."""


class _Misplaced(NamedTuple):
    node: str
    slot: Slot
    here: str
    """The leaf it is on."""
    there: str
    """The leaf it should be on."""


def compared(
    attachments: Sequence[Attachment],
    groups: Groups,
    found: Rails,
    names: Mapping[str, str],
    nameless: Mapping[str, int],
) -> Compared:
    """Every host against the hosts of its group that name their adapters as it does.

    Of a leaf with as many ``nameless`` adapters as hosts lack a cable to it, none is called missing.
    """
    by_node: dict[str, list[Attachment]] = {}
    for one in attachments:
        by_node.setdefault(one.node, []).append(one)
    families = {node: _family(own) for node, own in by_node.items()}
    expected = _expected(by_node, groups, families)
    usual = _usual(by_node, groups, families)
    missing: list[tuple[str, str, Slot | None]] = []
    misplaced: list[_Misplaced] = []
    for node in sorted(by_node, key=natural):
        key = (groups.members[node], families[node])
        own = by_node[node]
        misplaced += _misplaced(node, own, families[node], expected[key], found)
        elsewhere = {one.there for one in misplaced if one.node == node}
        lacking = sorted(expected[key] - {one.leaf for one in own} - elsewhere, key=natural)
        missing += [(node, leaf, found.slots[leaf].get(families[node])) for leaf in lacking]
        missing += [(node, leaf, slot) for leaf, slot in _unused(own, expected[key], usual[key])]
    lack = Counter(leaf for _, leaf, _ in missing)
    missing = [one for one in missing if lack[one[1]] > nameless.get(one[1], 0)]
    findings = [*_missing(missing, groups, families, names), *_moved(misplaced, found, names)]
    moved = {(one.node, one.slot): one.there for one in misplaced}
    return Compared(tuple(findings), tuple((node, leaf) for node, leaf, _ in missing), moved)


def _family(own: Sequence[Attachment]) -> str:
    counts = Counter(rails.slot(one).family for one in own)
    return min(counts, key=lambda family: (-counts[family], family))


def _expected(
    by_node: Mapping[str, Sequence[Attachment]], groups: Groups, families: Mapping[str, str]
) -> dict[tuple[str, str], set[str]]:
    """Group and family → the leaves of the group that at least half of those hosts have."""
    hosts: Counter[tuple[str, str]] = Counter()
    on: dict[tuple[str, str], Counter[str]] = {}
    for node, own in by_node.items():
        key = (groups.members[node], families[node])
        hosts[key] += 1
        on.setdefault(key, Counter()).update({one.leaf for one in own})
    homes = groups.own
    return {
        key: {leaf for leaf, count in on[key].items() if 2 * count >= many and homes.get(leaf) == key[0]}
        for key, many in hosts.items()
    }


def _usual(
    by_node: Mapping[str, Sequence[Attachment]], groups: Groups, families: Mapping[str, str]
) -> dict[tuple[str, str], list[tuple[str, Slot]]]:
    """Group and family → the NICs, each with its leaf, that more than half of those hosts have there."""
    hosts = Counter((groups.members[node], families[node]) for node in by_node)
    on: dict[tuple[str, str], Counter[tuple[str, Slot]]] = {key: Counter() for key in hosts}
    for node, own in by_node.items():
        on[groups.members[node], families[node]].update({(one.leaf, rails.slot(one)) for one in own if one.nic})
    return {
        key: sorted((pair for pair, count in on[key].items() if 2 * count > many), key=lambda pair: pair[1].order())
        for key, many in hosts.items()
    }


def _unused(
    own: Sequence[Attachment], expected: set[str], usual: Sequence[tuple[str, Slot]]
) -> Iterator[tuple[str, Slot]]:
    """NICs without any cable, of hosts with fewer of them on a leaf than their peers have there."""
    on = Counter(one.leaf for one in own)
    want = Counter(leaf for leaf, _ in usual)
    slots = {rails.slot(one) for one in own}
    for leaf, slot in usual:
        if leaf in expected and 0 < on[leaf] < want[leaf] and slot not in slots:
            yield leaf, slot


def _misplaced(
    node: str, own: Sequence[Attachment], family: str, expected: set[str], found: Rails
) -> Iterator[_Misplaced]:
    """NICs that are on another leaf than those of the peers are."""
    homes = {slot: leaf for leaf in sorted(expected, key=natural) if (slot := found.slots[leaf].get(family))}
    at: dict[Slot, set[str]] = {}
    for one in own:
        at.setdefault(rails.slot(one), set()).add(one.leaf)
    for slot in sorted(at, key=Slot.order):
        home = homes.get(slot)
        if slot.nic and home is not None and home not in at[slot]:
            yield _Misplaced(node, slot, min(at[slot], key=natural), home)


def _missing(
    missing: Sequence[tuple[str, str, Slot | None]],
    groups: Groups,
    families: Mapping[str, str],
    names: Mapping[str, str],
) -> Iterator[NodeFinding]:
    peers = Counter((groups.members[node], family) for node, family in families.items())
    for node, leaf, slot in missing:
        many = peers[groups.members[node], families[node]]
        adapter = f" {slot.nic}" if slot is not None and slot.nic else ""
        yield checks.cabling(
            checks.CABLE_MISSING,
            (node,),
            f"{node}{adapter} - {names[leaf]}",
            f"{node}{adapter} has no cable to {names[leaf]}, which most of the {many} nodes of its leaf group have",
        )


def _moved(misplaced: Sequence[_Misplaced], found: Rails, names: Mapping[str, str]) -> Iterator[NodeFinding]:
    """Two cables in each other's place are one finding."""
    left = list(misplaced)
    while left:
        one = left.pop(0)
        other = next((two for two in left if (two.here, two.there) == (one.there, one.here)), None)
        if other is None:
            yield checks.cabling(
                checks.CABLE_MISPLACED,
                (one.node,),
                f"{one.node} {one.slot.nic}",
                f"{one.node}: {one.slot.nic} is on {_leaf(one.here, found, names)}, should be on"
                f" {_leaf(one.there, found, names)}",
            )
            continue
        left.remove(other)
        second = "" if other.node == one.node else f"{other.node} "
        yield checks.cabling(
            checks.CABLE_MISPLACED,
            {one.node, other.node},
            f"{one.node} {one.slot.nic}",
            f"{one.node}: swapped, {one.slot.nic} is on {_leaf(one.here, found, names)} and {second}{other.slot.nic} on"
            f" {_leaf(other.here, found, names)}; peers have {_arrow(one, found)}, {_arrow(other, found)}",
        )


def _leaf(leaf: str, found: Rails, names: Mapping[str, str]) -> str:
    place = found.places.get(leaf)
    if place is None or place.rail is None:
        return names[leaf]
    plane = "" if place.plane is None else f" plane {place.plane}"
    return f"rail {place.rail}{plane} ({names[leaf]})"


def _arrow(one: _Misplaced, found: Rails) -> str:
    place = found.places.get(one.there)
    return f"{one.slot.nic} on rail {place.rail}" if place is not None and place.rail is not None else one.slot.nic
