"""All domains, kept from graph to graph: a node's change costs as much as the domains and the chassis that it is in."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from immutables import Map, MapMutation

from nvtopo.cluster import domains as grouping
from nvtopo.cluster import rackname
from nvtopo.cluster.claims import NVLINK_DOMAIN, RACK, Tier
from nvtopo.cluster.domains import Domain, Member, Trays
from nvtopo.cluster.findings import NodeFinding

Home = tuple[Tier, str]
"""A tier and a domain's ID."""
Group = Map[str, Member]
"""Members by name."""

_Key = TypeVar("_Key", bound=Hashable)

_EMPTY: Final[Group] = Map()
_LAST: Final = "~"


class Index(NamedTuple):
    """The domains, and what they are made of."""

    members: Map[Home, Group] = Map()
    chassis: Map[str, Group] = Map()
    """By serial number."""
    trays: Map[str, Trays] = Map()
    """By serial number."""
    bases: Map[Home, str] = Map()
    """The short name that each domain would have alone."""
    namesakes: Map[tuple[Tier, str], tuple[str, ...]] = Map()
    """Short name → the IDs that would have it."""
    domains: Map[str, Domain] = Map()
    suspicions: Map[str, tuple[NodeFinding, ...]] = Map()
    """By the domain's ID."""
    births: int = 0
    """Domains that came or went, all together."""
    changed: frozenset[str] = frozenset()
    """The domains that differ from the index before, by ID."""


class MovedNode(NamedTuple):
    """A node as it was in its domains, and as it is."""

    name: str
    before: Member | None
    now: Member | None


def moved(index: Index, changes: Iterable[MovedNode]) -> Index:
    """The index after nodes changed; the same object if none did."""
    real = [change for change in changes if change.before != change.now]
    if not real:
        return index
    draft = _Draft(index)
    for change in real:
        draft.move(change)
    draft.measure()
    draft.rename()
    return draft.finish()


def findings(index: Index) -> Iterator[NodeFinding]:
    """What does not fit in domains and chassis."""
    for several in index.suspicions.values():
        yield from several
    for trays in index.trays.values():
        yield from trays.far


class _Draft:
    """The maps while nodes are moved."""

    def __init__(self, index: Index) -> None:
        self._members: MapMutation[Home, Group] = index.members.mutate()
        self._chassis: MapMutation[str, Group] = index.chassis.mutate()
        self._trays: MapMutation[str, Trays] = index.trays.mutate()
        self._bases: MapMutation[Home, str] = index.bases.mutate()
        self._namesakes: MapMutation[tuple[Tier, str], tuple[str, ...]] = index.namesakes.mutate()
        self._domains: MapMutation[str, Domain] = index.domains.mutate()
        self._suspicions: MapMutation[str, tuple[NodeFinding, ...]] = index.suspicions.mutate()
        self._dirty: set[Home] = set()
        self._serials: set[str] = set()
        self._births = index.births

    def move(self, change: MovedNode) -> None:
        """Take a node out of where it was, and put it where it is."""
        name, before, now = change
        for home in _homes(before):
            _leave(self._members, home, name)
        for serial in _serials(before):
            _leave(self._chassis, serial, name)
        if now is not None:
            for home in _homes(now):
                self._members[home] = self._members.get(home, _EMPTY).set(name, now)
            for serial in _serials(now):
                self._chassis[serial] = self._chassis.get(serial, _EMPTY).set(name, now)
        seated = before is None or now is None or (before.position, before.tiers) != (now.position, now.tiers)
        self._dirty |= {home for home in (*_homes(before), *_homes(now)) if seated or home[0] == NVLINK_DOMAIN}
        if seated:
            self._serials |= {*_serials(before), *_serials(now)}

    def measure(self) -> None:
        """The gaps between the trays of each chassis that changed."""
        for serial in self._serials:
            group = self._chassis.get(serial, _EMPTY)
            trays = grouping.trays(serial, [group[name] for name in sorted(group)])
            if self._trays.get(serial) == trays:
                continue
            if trays.gaps or trays.far:
                self._trays[serial] = trays
            else:
                self._trays.pop(serial, None)
            homes = (home for member in group.values() for home in _homes(member))
            self._dirty |= {home for home in homes if home[0] in (NVLINK_DOMAIN, RACK)}

    def rename(self) -> None:
        """The short names that domains would have alone; who shares one is looked at again as well."""
        for home in list(self._dirty):
            base = self._base(home)
            known = self._bases.get(home)
            if known is not None and known != base:
                self._dirty |= self._unnamed(home, known)
            if base is None:
                self._bases.pop(home, None)
                continue
            tier, identifier = home
            self._bases[home] = base
            sharing = {*self._namesakes.get((tier, base), ()), identifier}
            self._namesakes[tier, base] = tuple(sorted(sharing))
            self._dirty |= {(tier, other) for other in sharing}

    def finish(self) -> Index:
        """With every domain that changed computed anew."""
        silences = _Silences(self._trays)
        gone = {home for home in self._dirty if home not in self._members}
        changed = {identifier for _, identifier in gone}
        for _, identifier in gone:  # first, since a domain of another tier may have its ID now
            self._forget(identifier)
        for home in self._dirty - gone:
            group = self._members[home]
            members = [group[name] for name in sorted(group)]
            domain = grouping.of(home, members, self._name(home), silences.of(grouping.chassis_of(home[0], members)))
            known = self._domains.get(home[1])
            self._births += known is None
            if known != domain:
                self._domains[home[1]] = domain
                changed.add(home[1])
            suspicions = tuple(grouping.suspicions(home, members))
            if suspicions:
                self._suspicions[home[1]] = suspicions
            else:
                self._suspicions.pop(home[1], None)
        return Index(
            self._members.finish(),
            self._chassis.finish(),
            self._trays.finish(),
            self._bases.finish(),
            self._namesakes.finish(),
            self._domains.finish(),
            self._suspicions.finish(),
            self._births,
            frozenset(changed),
        )

    def _forget(self, identifier: str) -> None:
        self._births += self._domains.pop(identifier, None) is not None
        self._suspicions.pop(identifier, None)

    def _base(self, home: Home) -> str | None:
        group = self._members.get(home, _EMPTY)
        if not group:
            return None
        return rackname.name(*home, grouping.chassis_of(home[0], [group[name] for name in sorted(group)]))

    def _unnamed(self, home: Home, base: str) -> set[Home]:
        """Take a domain's short name away; those that shared it."""
        tier, identifier = home
        left = tuple(other for other in self._namesakes.get((tier, base), ()) if other != identifier)
        if left:
            self._namesakes[tier, base] = left
        else:
            self._namesakes.pop((tier, base), None)
        return {(tier, other) for other in left}

    def _name(self, home: Home) -> str:
        """Who shares a short name has it if it has more nodes than all others, or as many and was there first."""
        tier, identifier = home
        base = self._bases[home]
        sharing = self._namesakes[tier, base]
        if len(sharing) == 1:
            return base
        first, second, *_ = sorted((self._claim(tier, other), other) for other in sharing)
        holds = first[0] < second[0] and first[1] == identifier
        return base if holds else rackname.by_id(tier, identifier)

    def _claim(self, tier: Tier, identifier: str) -> tuple[int, str]:
        group = self._members.get((tier, identifier), _EMPTY)
        return -len(group), min((member.since or _LAST for member in group.values()), default=_LAST)


class _Silences:
    def __init__(self, trays: MapMutation[str, Trays]) -> None:
        self._trays = trays

    def of(self, serials: Iterable[str]) -> dict[str, tuple[grouping.MissingTrays, ...]]:
        """The gaps of these chassis."""
        return {serial: self._trays[serial].gaps for serial in serials if serial in self._trays}


def _homes(member: Member | None) -> tuple[Home, ...]:
    return () if member is None else tuple(member.tiers.items())


def _serials(member: Member | None) -> tuple[str, ...]:
    return () if member is None or member.position.chassis is None else (member.position.chassis,)


def _leave(groups: MapMutation[_Key, Group], key: _Key, name: str) -> None:
    left = groups[key].delete(name)
    if left:
        groups[key] = left
    else:
        del groups[key]
