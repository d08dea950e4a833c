"""Racks and domains that differ from their peers as a whole: what most groups have decides, and a tie says so."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.traits import Fact, Shape, Traits, Value
from nvtopo.model.changes.change import Change

#: Nodes of a group that must be known, and how many of a hundred of them must have the same.
_LEAST_NODES: Final = 2
_QUORUM_PERCENT: Final = 75


class Group(NamedTuple):
    """The nodes of one shape in one rack or domain."""

    tier: str
    id: str
    shape: Shape


def consensus(members: Iterable[Traits]) -> dict[Fact, Value]:
    """What the members of a group have in common, fact by fact."""
    counts: dict[Fact, Counter[Value]] = {}
    for traits in members:
        for fact, value in traits.items():
            counts.setdefault(fact, Counter())[value] += 1
    found = {}
    for fact, values in counts.items():
        value, nodes = max(values.items(), key=lambda item: (item[1], str(item[0])))
        if nodes >= _LEAST_NODES and nodes * 100 >= _QUORUM_PERCENT * values.total():
            found[fact] = value
    return found


def deviations(groups: Mapping[Group, Traits]) -> dict[Group, tuple[Change, ...]]:
    """In what each group differs from its peers of one tier and shape; groups that differ in nothing are left out.

    ``before`` of a change is what more than half of the groups have. If no value has so many, all groups are named,
    and ``before`` lists every value.
    """
    alike: dict[tuple[str, Shape], list[Group]] = {}
    for group in sorted(groups):
        alike.setdefault((group.tier, group.shape), []).append(group)
    found: dict[Group, list[Change]] = {}
    for peers in alike.values():
        for fact in sorted({fact for group in peers for fact in groups[group]}):
            for group, change in _of_fact(fact, peers, groups):
                found.setdefault(group, []).append(change)
    return {group: tuple(changes) for group, changes in found.items()}


def _of_fact(fact: Fact, peers: Iterable[Group], groups: Mapping[Group, Traits]) -> Iterable[tuple[Group, Change]]:
    stated = {group: groups[group][fact] for group in peers if fact in groups[group]}
    counts = Counter(stated.values())
    if len(counts) < 2:  # noqa: PLR2004 - one value is no difference
        return
    value, most = max(counts.items(), key=lambda item: item[1])
    due = value if most * 2 > counts.total() else sorted(counts, key=str)
    for group, had in stated.items():
        if had != due:
            yield group, Change(kind=fact.kind, subject=fact.subject, path=fact.path, before=due, after=had)
