"""Which nodes belong together: those that are cabled to the same switches, whatever single cable is missing.

1. Members, those with most cables first, join the founder that shares more than half of their cables, or found a group.
   Who is cabled to several groups, such as a gateway, comes last and founds none that would swallow them.
2. Until nothing moves: a switch belongs to the group with most members on it, and a member goes where most of its
   switches belong; those that groups share, such as of storage, do not count. Who is half and half stays where it is,
   or goes to those of similar names, and is reported.

The same input gives the same groups, in whatever order it comes. Nothing needs to know what a rail is.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from nvtopo.model.conclusions.order import natural

_MOST_ROUNDS: Final = 8
#: A switch is a group's own if it has more than three fifths of the members on it; those of storage have many groups.
_OWN_PARTS: Final = 5
_OWN_OF: Final = 3


class _Home(NamedTuple):
    """Where a switch belongs."""

    group: str
    shared: bool
    """Whether so many of other groups are on it that it says little."""


class Groups(NamedTuple):
    """Members and switches, each in one group; a group is named after its founder."""

    members: Mapping[str, str]
    """Member → group."""
    switches: Mapping[str, str]
    """Switch → group."""
    undecided: tuple[str, ...]
    """Members with as many cables in another group as in their own."""
    shared: frozenset[str] = frozenset()
    """Switches of several groups, such as of storage, whose group has others of its own."""

    @property
    def own(self) -> dict[str, str]:
        """Switch → group, without those that groups share."""
        return {switch: group for switch, group in self.switches.items() if switch not in self.shared}


def grouped(cables: Mapping[str, frozenset[str]]) -> Groups:
    """The groups of members, each with the switches that it is cabled to. Members without any are left out."""
    connected = {name: cables[name] for name in sorted(cables, key=natural) if cables[name]}
    members = _founded(connected)
    switches = _switches(connected, members)
    for _ in range(_MOST_ROUNDS):
        moved = _moved(connected, members, switches)
        if moved == members:
            break
        members, switches = moved, _switches(connected, moved)
    undecided = tuple(name for name in connected if _undecided(connected[name], members[name], switches))
    own = {home.group for home in switches.values() if not home.shared}
    shared = frozenset(switch for switch, home in switches.items() if home.shared and home.group in own)
    return Groups(members, {switch: home.group for switch, home in switches.items()}, undecided, shared)


def _founded(connected: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Member → founder. Of several founders that share enough, the one that shares most; the first of those."""
    founders: dict[str, int] = {}
    at: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    across = _across(connected)
    for name in sorted(connected, key=lambda name: (connected[name] in across, -len(connected[name]), natural(name))):
        shared = Counter(founder for switch in connected[name] for founder in at.get(switch, ()))
        best = min(shared, key=lambda founder: (-shared[founder], founders[founder]), default=None)
        if best is not None and 2 * shared[best] > len(connected[name]):
            found[name] = best
            continue
        found[name] = name
        founders[name] = len(founders)
        for switch in connected[name]:
            at.setdefault(switch, []).append(name)
    return found


def _across(connected: Mapping[str, frozenset[str]]) -> set[frozenset[str]]:
    """Sets of cables that hold most of two others, each of more members, which have none in common."""
    alike = Counter(connected.values())
    at: dict[str, list[frozenset[str]]] = {}
    for cables, count in alike.items():
        for switch in cables if count > 1 else ():
            at.setdefault(switch, []).append(cables)
    found = set()
    for cables, count in alike.items():
        shared = Counter(other for switch in cables for other in at.get(switch, ()) if alike[other] > count)
        held = [other for other, many in shared.items() if 2 * many > len(other)]
        first = max(held, key=lambda other: alike[other], default=cables)
        if any(first.isdisjoint(other) for other in held):
            found.add(cables)
    return found


def _switches(connected: Mapping[str, frozenset[str]], members: Mapping[str, str]) -> dict[str, _Home]:
    """Switch → the group with most members on it; of equal ones the larger, then the first by name."""
    on: dict[str, Counter[str]] = {}
    for name, switches in connected.items():
        for switch in switches:
            on.setdefault(switch, Counter())[members[name]] += 1
    sizes = Counter(members.values())
    homes = {}
    for switch, count in on.items():
        group = min(count, key=lambda group: (-count[group], -sizes[group], natural(group)))
        homes[switch] = _Home(group, shared=_OWN_PARTS * count[group] <= _OWN_OF * count.total())
    return homes


def _votes(own: frozenset[str], switches: Mapping[str, _Home]) -> Counter[str]:
    """Group → how many of a member's switches belong to it. Switches that groups share count only if all are."""
    sure = Counter(switches[switch].group for switch in own if not switches[switch].shared)
    return sure or Counter(switches[switch].group for switch in own)


def _moved(
    connected: Mapping[str, frozenset[str]], members: Mapping[str, str], switches: Mapping[str, _Home]
) -> dict[str, str]:
    """Everybody where most of their switches belong; of equal ones to where they are, to those of similar names."""
    sizes = Counter(members.values())
    moved = {}
    for name, own in connected.items():
        votes = _votes(own, switches)
        most = max(votes.values())
        tied = [group for group, count in votes.items() if count == most]
        if members[name] in tied:
            moved[name] = members[name]
        elif len(tied) == 1:
            moved[name] = tied[0]
        else:
            like = {group: _likeness(name, group, members) for group in tied}
            moved[name] = min(tied, key=lambda group: (-like[group], -sizes[group], natural(group)))
    return moved


def _likeness(name: str, group: str, members: Mapping[str, str]) -> int:
    """How many letters its name and one of the group's begin with alike, at most."""
    return max((_common(name, one) for one, found in members.items() if found == group), default=0)


def _common(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _undecided(own: frozenset[str], group: str, switches: Mapping[str, _Home]) -> bool:
    votes = _votes(own, switches)
    return any(votes[other] >= votes[group] for other in votes if other != group)
