"""``Counts``: the free room of every domain for pods of one size, kept by each change and never rebuilt.

One ``Counts`` belongs to a kind of pod: its GPUs, and the nodes it may be on. It is made when such a pod is first asked
for. For a gang of a size, each domain has a key: how many hosts the gang would need there, then how much room there is
in all. So the least key is the domain that holds the gang on the fewest hosts, and of those the one that is left with
the least.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from nvtopo.placement.buckets import Buckets

#: Keys are at most so large, since a set of keys is an integer as wide; beyond, the hosts alone are the key.
_WIDEST: Final = 1 << 18
#: Sizes of gangs that have keys of their own. Of one more, the oldest is forgotten.
_MOST_ASKED: Final = 256


class Layer:
    """The domains of one level."""

    __slots__ = ("_asked", "_stride", "_wide", "first", "histograms", "last", "rooms", "totals")

    def __init__(self, spans: Sequence[tuple[int, int]], rooms: Sequence[int], most: int) -> None:
        self.first = [first for first, _last in spans]
        self.last = [last for _first, last in spans]
        self.totals = [sum(rooms[first:last]) for first, last in spans]
        self.histograms = [_histogram(rooms[first:last], most) for first, last in spans]
        self.rooms = Buckets(iter(self.totals))
        self._stride = 1 + most * max((last - first for first, last in spans), default=0)
        self._wide = self._stride * max((last - first for first, last in spans), default=0) > _WIDEST
        self._asked: dict[int, tuple[Buckets, set[int]]] = {}

    def change(self, domain: int, before: int, after: int) -> None:
        """A host of the domain has another room."""
        self.totals[domain] += after - before
        histogram = self.histograms[domain]
        histogram[before] -= 1
        histogram[after] += 1
        self.rooms.move(domain, self.totals[domain])
        for _buckets, stale in self._asked.values():
            stale.add(domain)

    def tightest(self, pods: int) -> int | None:
        """The domain that holds so many pods on the fewest hosts, and of those the one with the least room."""
        found = self._asked.get(pods)
        if found is None:
            found = Buckets(self._key(domain, pods) for domain in range(len(self.totals))), set()
            if len(self._asked) >= _MOST_ASKED:
                del self._asked[next(iter(self._asked))]
            self._asked[pods] = found
        buckets, stale = found
        while stale:
            domain = stale.pop()
            buckets.move(domain, self._key(domain, pods))
        least = buckets.least()
        return None if least is None else least[1]

    def _key(self, domain: int, pods: int) -> int | None:
        total = self.totals[domain]
        if total < pods:
            return None
        hosts = hosts_needed(self.histograms[domain], pods)
        return hosts if self._wide else hosts * self._stride + total


def _histogram(rooms: Sequence[int], most: int) -> list[int]:
    counts = [0] * (most + 1)
    for room in rooms:
        counts[room] += 1
    return counts


def hosts_needed(histogram: Sequence[int], pods: int) -> int:
    """The fewest hosts that hold so many pods, if all together do: the roomiest first."""
    needed = 0
    for room in range(len(histogram) - 1, 0, -1):
        count = histogram[room]
        if count:
            if count * room >= pods:
                return needed - (-pods // room)
            needed += count
            pods -= count * room
    return needed


class Counts:
    """The free room of all hosts and domains for one kind of pod."""

    __slots__ = ("_inside", "hosts", "layers", "most", "rooms")

    def __init__(self, rooms: Sequence[int], spans: Sequence[Sequence[tuple[int, int]]], most: int) -> None:
        """``spans`` has for each level above the hosts the ranges of hosts that its domains are.

        ``most`` is the room of the largest host, when it is empty.
        """
        self.rooms = list(rooms)
        self.most = most
        self.hosts = Buckets(iter(self.rooms))
        self.layers = [Layer(level, self.rooms, self.most) for level in spans]
        self._inside = [_inside(level, len(self.rooms)) for level in spans]

    def set_room(self, host: int, room: int) -> None:
        """A host has another room now."""
        before = self.rooms[host]
        if before == room:
            return
        self.rooms[host] = room
        self.hosts.move(host, room)
        for layer, inside in zip(self.layers, self._inside, strict=True):
            layer.change(inside[host], before, room)

    def domains(self, layer: int) -> Sequence[int]:
        """The domain of a layer that each host is in."""
        return self._inside[layer]

    def fill(self, first: int, last: int, pods: int) -> Iterator[tuple[int, int]]:
        """Hosts of a range that hold so many pods, with how many each takes: the roomiest first, the last one tight."""
        if pods == sum(self.rooms[first:last]):
            yield from ((host, room) for host, room in enumerate(self.rooms[first:last], first) if room)
            return
        by_room: list[list[int]] = [[] for _room in range(self.most + 1)]
        rooms = self.rooms
        for host in range(first, last):
            by_room[rooms[host]].append(host)
        room = self.most
        while pods > 0:
            while not by_room[room]:
                room -= 1
            if room >= pods:
                tight = next(size for size in range(pods, room + 1) if by_room[size])
                yield by_room[tight].pop(0), pods
                return
            yield by_room[room].pop(0), room
            pods -= room


def _inside(spans: Sequence[tuple[int, int]], hosts: int) -> list[int]:
    inside = [0] * hosts
    for domain, (first, last) in enumerate(spans):
        inside[first:last] = [domain] * (last - first)
    return inside
