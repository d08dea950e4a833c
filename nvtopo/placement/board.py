"""``Board``: the free GPUs of a simulated cluster, with what every policy and every figure reads of them."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from nvtopo.placement.allot import gpus_of_pods
from nvtopo.placement.fleet import Fleet, Host
from nvtopo.placement.links import Link
from nvtopo.placement.result import Rank
from nvtopo.placement.state import State
from nvtopo.placement.trace import Gang

Take = tuple[int, int]
"""A host's number, and how many pods it takes."""


class _Rooms:
    """How many pods of one size each host, and each domain of each level above, holds."""

    __slots__ = ("domains", "hosts", "total")

    def __init__(self, hosts: list[int], inside: list[list[int]]) -> None:
        self.hosts = hosts
        self.total = sum(hosts)
        self.domains = [[0] * (level[-1] + 1 if level else 0) for level in inside]
        for rooms, level in zip(self.domains, inside, strict=True):
            for host, domain in enumerate(level):
                rooms[domain] += hosts[host]


class Board:
    """The cluster now. Level 1 is the closest tier there is: the NVLink domain in most fleets."""

    def __init__(self, given: Fleet, links: Mapping[str, Link] = MappingProxyType({})) -> None:
        self.state = State(given, links)
        self.levels = given.levels
        self.hosts = list(given.root.hosts())
        self._numbers = {host.name: number for number, host in enumerate(self.hosts)}
        self._inside = [_inside(given, level) for level in range(1, len(given.levels))]
        self._rooms: dict[int, _Rooms] = {}
        self._free = [0] * (1 + max(self._inside[0], default=0))
        for host, domain in zip(self.hosts, self._inside[0], strict=True):
            self._free[domain] += 0 if host.excluded else host.free_gpus
        self._all = list(self._free)
        self.gpus = sum(self._all)
        self.free = self.gpus
        self._free_in_parts = 0

    def members(self, level: int, domain: int) -> list[int]:
        """The hosts of a domain, in order."""
        return [host for host, inside in enumerate(self._inside[level - 1]) if inside == domain]

    def inner(self, level: int, domain: int) -> list[int]:
        """The domains of level 1 inside a domain, in order."""
        pairs = zip(self._inside[level - 1], self._inside[0], strict=True)
        return list(dict.fromkeys(near for far, near in pairs if far == domain))

    def rooms(self, gpus: int) -> list[int]:
        """How many pods of so many GPUs each host holds now."""
        return self._rooms_for(gpus).hosts

    def domain_rooms(self, level: int, gpus: int) -> list[int]:
        """The same of each domain of a level above the hosts."""
        return self._rooms_for(gpus).domains[level - 1]

    def holds(self, gang: Gang, *, within: bool) -> bool:
        """Whether the gang fits now; ``within`` one domain of level 1, or anywhere."""
        rooms = self._rooms_for(gang.gpus)
        return (max(rooms.domains[0], default=0) if within else rooms.total) >= gang.pods

    def share_free(self, domain: int) -> float:
        """The share of a domain's GPUs that are free."""
        return self._free[domain] / (self._all[domain] or 1)

    @property
    def fragmentation(self) -> float:
        """The share of the free GPUs that are in domains which are partly in use."""
        return self._free_in_parts / self.free if self.free else 0.0

    def ranks(self, takes: Iterable[Take], gpus: int) -> tuple[Rank, ...]:
        """The pods on these hosts, ranks in physical order, with the GPUs they get."""
        return tuple(
            Rank(rank=rank, node=node, gpus=taken) for rank, (node, taken) in enumerate(self._pods(takes, gpus))
        )

    def _pods(self, takes: Iterable[Take], gpus: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for number, pods in sorted(takes):
            host = self.hosts[number]
            for taken in gpus_of_pods(host, gpus, pods):
                yield host.name, taken

    def used(self, ranks: Iterable[Rank]) -> tuple[int, ...]:
        """How many domains of each level these pods are in, up to the first level where it is one."""
        hosts = {self._numbers[rank.node] for rank in ranks}
        counts = [len(hosts)]
        for inside in self._inside:
            if counts[-1] == 1:
                break
            counts.append(len({inside[host] for host in hosts}))
        return tuple(counts)

    def take(self, ranks: tuple[Rank, ...]) -> None:
        """These GPUs are in use."""
        self.state.take(ranks)
        for number, gpus in self._by_host(ranks).items():
            self._set(number, self.hosts[number].without(gpus))

    def give(self, ranks: tuple[Rank, ...]) -> None:
        """These GPUs are free again."""
        self.state.give(ranks)
        for number, gpus in self._by_host(ranks).items():
            self._set(number, self.hosts[number].given_back(gpus))

    def rest(self, number: int) -> tuple[Rank, ...]:
        """All free GPUs of a host as one pod: taking it puts the host out of service."""
        host = self.hosts[number]
        return (Rank(rank=0, node=host.name, gpus=tuple(gpu for group in host.free for gpu in group)),)

    def _by_host(self, ranks: Iterable[Rank]) -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for rank in ranks:
            found.setdefault(self._numbers[rank.node], set()).update(rank.gpus)
        return found

    def _set(self, number: int, host: Host) -> None:
        change = host.free_gpus - self.hosts[number].free_gpus
        self.hosts[number] = host
        domain = self._inside[0][number]
        self._free_in_parts -= self._in_part(domain)
        self._free[domain] += change
        self.free += change
        self._free_in_parts += self._in_part(domain)
        for gpus, rooms in self._rooms.items():
            more = host.room(gpus) - rooms.hosts[number]
            rooms.hosts[number] += more
            rooms.total += more
            for level, inside in zip(rooms.domains, self._inside, strict=True):
                level[inside[number]] += more

    def _in_part(self, domain: int) -> int:
        return self._free[domain] if self._free[domain] < self._all[domain] else 0

    def _rooms_for(self, gpus: int) -> _Rooms:
        found = self._rooms.get(gpus)
        if found is None:
            found = self._rooms[gpus] = _Rooms([host.room(gpus) for host in self.hosts], self._inside)
        return found


def _inside(given: Fleet, level: int) -> list[int]:
    """For each host, the number of its domain of a level."""
    return [number for number, domain in enumerate(given.domains(level)) for _host in domain.hosts()]
