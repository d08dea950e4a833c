"""``Frontier``: for one domain, the least cost at which it holds so many pods. The exact search is made of these.

An entry says "so many pods or fewer fit here for this cost", and no entry is both smaller and dearer than another.
Entries are kept apart by what of the gang they hold besides pods: its leader, and the short last slice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from nvtopo.placement.fleet import Domain, Host

Held = tuple[bool, bool]
"""Whether the leader, and whether the short last slice, is inside."""
NEITHER: Held = (False, False)


class ChildShare(NamedTuple):
    """A child domain that is used, with what it holds."""

    domain: Domain
    entry: "Entry"
    held: Held


class Entry(NamedTuple):
    """So many pods for that cost."""

    cost: tuple[int, int, int]
    """Picoseconds; then GPUs free in the closest domains used, then in the hosts used: fewer is better."""
    pods: int
    last: ChildShare | None = None
    """The part added last; None in a host."""
    rest: "Entry | None" = None
    """What the other parts hold."""

    def parts(self) -> Iterator[ChildShare]:
        """The children used, in order."""
        found: list[ChildShare] = []
        entry: Entry | None = self
        while entry is not None and entry.last is not None:
            found.append(entry.last)
            entry = entry.rest
        return reversed(found)


Frontier = Mapping[Held, tuple[Entry, ...]]
"""By what is held; entries by pods, ascending, and so by cost."""

NOTHING = Entry((0, 0, 0), 0)
EMPTY: Frontier = {NEITHER: (NOTHING,)}


def of_host(host: Host, gpus: int, leader_gpus: int | None, most: int, charge: int = 0) -> Frontier:
    """What one host holds; ``charge`` is what using it costs wherever the others are."""
    room = min(host.room(gpus), most)
    cost = (charge, 0, host.free_gpus)
    found: dict[Held, tuple[Entry, ...]] = {NEITHER: (NOTHING, Entry(cost, room)) if room else (NOTHING,)}
    if leader_gpus is not None and host.room(leader_gpus):
        beside = min(room_beside(host, gpus, leader_gpus), most)
        found[True, False] = (Entry(cost, beside),)
    return found


def room_beside(host: Host, gpus: int, leader_gpus: int) -> int:
    """How many pods fit on the host beside a leader, in the best place for it."""
    if leader_gpus > host.group_size:
        return (host.free_gpus - leader_gpus) // gpus
    if gpus > host.group_size:
        return (host.free_gpus - leader_gpus) // gpus
    return max(
        host.room(gpus) - len(group) // gpus + (len(group) - leader_gpus) // gpus
        for group in host.free
        if len(group) >= leader_gpus
    )


def joined(left: Frontier, child: Domain, right: Frontier, most: int) -> Frontier:
    """What the domains of ``left`` and one more hold together; more than ``most`` pods are not told apart."""
    found: dict[Held, list[Entry]] = {}
    for held, entries in left.items():
        for more, additions in right.items():
            if any(one and other for one, other in zip(held, more, strict=True)):
                continue
            both = (held[0] or more[0], held[1] or more[1])
            found.setdefault(both, []).extend(_sums(entries, child, more, additions, most))
    return {held: pruned(entries) for held, entries in found.items()}


def _sums(
    entries: Iterable[Entry], child: Domain, more: Held, additions: Iterable[Entry], most: int
) -> Iterator[Entry]:
    for addition in additions:
        unused = addition.pods == 0 and more == NEITHER
        part = ChildShare(child, addition, more)
        for entry in entries:
            if unused:
                yield entry
                continue
            (a, b, c), (x, y, z) = entry.cost, addition.cost
            yield Entry((a + x, b + y, c + z), min(entry.pods + addition.pods, most), part, entry)


def pruned(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries that no other one beats, by pods; of equals the first."""
    kept: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: (-entry.pods, entry.cost)):
        if not kept or (entry.cost < kept[-1].cost and entry.pods < kept[-1].pods):
            kept.append(entry)
    return tuple(reversed(kept))


def kept(frontier: Frontier, keeps: Callable[[Entry], bool]) -> Frontier:
    """The entries that are of use."""
    return {held: tuple(filter(keeps, entries)) for held, entries in frontier.items()}


def used(frontier: Frontier, picoseconds: int, free: int) -> Frontier:
    """The frontier of a domain as its parent sees it: using it costs that, and opens so many free GPUs."""

    def charged(entry: Entry, held: Held) -> Entry:
        if entry.pods == 0 and held == NEITHER:
            return entry
        first, second, third = entry.cost
        return entry._replace(cost=(first + picoseconds, second + free, third))

    return {held: tuple(charged(entry, held) for entry in entries) for held, entries in frontier.items()}


def in_slices(frontier: Frontier, size: int, tail: int) -> Frontier:
    """The same, holding whole slices only; and one short slice of ``tail`` pods besides, if there is one."""
    found: dict[Held, list[Entry]] = {}
    for (leader, _tail), entries in frontier.items():
        for entry in entries:
            found.setdefault((leader, False), []).append(entry._replace(pods=entry.pods // size * size))
            if tail and entry.pods >= tail:
                short = entry._replace(pods=(entry.pods - tail) // size * size + tail)
                found.setdefault((leader, True), []).append(short)
    return {held: pruned(some) for held, some in found.items()}


def at_most(frontier: Frontier, pods: int) -> Frontier:
    """The same, holding no more than so many pods, the leader counted as one."""
    found: dict[Held, list[Entry]] = {}
    for held, entries in frontier.items():
        room = pods - held[0]
        if room >= 0:
            found[held] = [entry._replace(pods=min(entry.pods, room)) for entry in entries]
    return {held: pruned(some) for held, some in found.items()}
