"""Which rail and plane each leaf is, and which NIC of a host belongs on it: what most hosts of its group have there.

A rail is a NIC's place in the host; its planes are the leaves that one NIC is cabled to. Names are compared within one
way of naming (``HCA-1``, ``mlx5_0``) only, since a cluster may mix them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from nvtopo.model.conclusions.order import natural
from nvtopo.model.formats.limits import LONGEST_WORD

_PLANE: Final = re.compile(r"(?P<nic>.*\d\w*?)[._-]?p(?:lane)?[_-]?(?P<plane>\d{1,2})")


class Attachment(NamedTuple):
    """A host's cable to a leaf."""

    node: str
    nic: str
    """Empty where the source does not name it."""
    port: str
    """The NIC's port."""
    leaf: str
    leaf_port: str


class Slot(NamedTuple):
    """A place in a host that a cable starts from."""

    nic: str
    plane: str
    """The NIC's port, or the plane that its name says."""

    @property
    def family(self) -> str:
        """How the name is made."""
        return re.sub(r"\d+", "#", self.nic)

    def order(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """As people count."""
        return natural(self.nic), natural(self.plane)


class RailPlane(NamedTuple):
    """A leaf's number among those of its group; None where nothing says it."""

    rail: int | None
    plane: int | None


class Rails(NamedTuple):
    """The leaves of every group."""

    slots: Mapping[str, Mapping[str, Slot]]
    """Leaf → family → what the hosts of its group have on it."""
    places: Mapping[str, RailPlane]
    """Leaf → its number."""


def slot(attachment: Attachment) -> Slot:
    """What the cable starts from; a name such as ``rail0p2`` says the plane."""
    found = _PLANE.fullmatch(attachment.nic) if len(attachment.nic) <= LONGEST_WORD else None
    if found and attachment.port in ("", "1"):
        return Slot(found["nic"], found["plane"])
    return Slot(attachment.nic, attachment.port)


def of(
    attachments: Iterable[Attachment],
    members: Mapping[str, str],
    switches: Mapping[str, str],
    uplinks: Mapping[str, frozenset[str]],
) -> Rails:
    """The rails of all groups. ``uplinks`` says which spines a leaf has; leaves of one rail may have their own."""
    votes: dict[str, Counter[Slot]] = {leaf: Counter() for leaf in switches}
    for one in attachments:
        if one.nic and members.get(one.node) == switches.get(one.leaf):
            votes[one.leaf][slot(one)] += 1
    groups: dict[str, list[str]] = {}
    for leaf in sorted(switches, key=natural):
        groups.setdefault(switches[leaf], []).append(leaf)
    slots = {leaf: found for leaves in groups.values() for leaf, found in _slots(leaves, votes, uplinks).items()}
    return Rails(slots, _places(groups, slots, votes))


def _slots(
    leaves: Sequence[str], votes: Mapping[str, Counter[Slot]], uplinks: Mapping[str, frozenset[str]]
) -> dict[str, dict[str, Slot]]:
    """Leaf → family → slot, for one group: who has a clear majority first, the others take what is left."""
    found: dict[str, dict[str, Slot]] = {leaf: {} for leaf in leaves}
    for family in sorted({slot.family for leaf in leaves for slot in votes[leaf]}):
        of_family = {leaf: _of_family(votes[leaf], family) for leaf in leaves}
        clear = {leaf: top for leaf in leaves if (top := _clear(of_family[leaf])) is not None}
        taken = set(clear.values())
        for leaf in (leaf for leaf in leaves if of_family[leaf] and leaf not in clear):
            counts = _with_siblings(leaf, leaves, votes, uplinks, family)
            best = _clear(counts) or min(
                (slot for slot in of_family[leaf] if slot not in taken),
                key=lambda slot: (-counts[slot], slot.order()),
                default=None,
            )
            if best is not None:
                clear[leaf] = best
                taken.add(best)
        for leaf, top in clear.items():
            found[leaf][family] = top
    return found


def _with_siblings(
    leaf: str,
    leaves: Sequence[str],
    votes: Mapping[str, Counter[Slot]],
    uplinks: Mapping[str, frozenset[str]],
    family: str,
) -> Counter[Slot]:
    """The votes of all leaves below the same spines, if the other leaves of its group have others."""
    own = uplinks.get(leaf, frozenset())
    if not own or any(uplinks.get(other) == own for other in leaves if other != leaf):
        return _of_family(votes[leaf], family)
    return sum((_of_family(votes[other], family) for other in votes if uplinks.get(other) == own), Counter())


def _of_family(votes: Counter[Slot], family: str) -> Counter[Slot]:
    return Counter({slot: count for slot, count in votes.items() if slot.family == family})


def _clear(votes: Counter[Slot]) -> Slot | None:
    """The one with most votes, if it is one."""
    most = votes.most_common(2)
    return most[0][0] if most and (len(most) == 1 or most[0][1] > most[1][1]) else None


def _places(
    groups: Mapping[str, Sequence[str]], slots: Mapping[str, Mapping[str, Slot]], votes: Mapping[str, Counter[Slot]]
) -> dict[str, RailPlane]:
    main = {group: _main_family(leaves, votes) for group, leaves in groups.items()}
    sets = {
        group: frozenset(slots[leaf][main[group]] for leaf in leaves if main[group] in slots[leaf])
        for group, leaves in groups.items()
    }
    fullest = sorted(set(sets.values()), key=lambda found: (-len(found), sorted(slot.order() for slot in found)))
    places: dict[str, RailPlane] = {}
    for group, leaves in groups.items():
        # A group that lost a leaf counts as those do that have it.
        model = next((found for found in fullest if found >= sets[group]), sets[group])
        nics = sorted({slot.nic for slot in model}, key=natural)
        for leaf in leaves:
            own = slots[leaf].get(main[group])
            if own is None:
                places[leaf] = RailPlane(None, None)
                continue
            planes = sorted((slot.plane for slot in model if slot.nic == own.nic), key=natural)
            places[leaf] = RailPlane(nics.index(own.nic), planes.index(own.plane) if len(planes) > 1 else None)
    return places


def _main_family(leaves: Sequence[str], votes: Mapping[str, Counter[Slot]]) -> str:
    counts: Counter[str] = Counter()
    for leaf in leaves:
        for slot, count in votes[leaf].items():
            counts[slot.family] += count
    return min(counts, key=lambda family: (-counts[family], family), default="")
