"""``Fleet``: the hosts that a gang may be placed on, with their free GPUs and the domains they are in.

Levels are numbered from 0, the host itself, over the tiers closest first, to the whole fleet. A domain is the path of
IDs that leads to it, so rack ``r1`` of block ``b1`` is not rack ``r1`` of ``b2``. A host whose tier nobody knows is in
a domain of its own there, with those that share a closer domain with it: unknown is never somebody's neighbour.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

NODE: Final = "node"
"""The name of level 0."""
FLEET: Final = "fleet"
"""The name of the outermost level."""

Path = tuple[str, ...]
"""Of a domain: IDs from the outermost tier to its own. The fleet is the empty path."""


class Host(NamedTuple):
    """One node as placement sees it."""

    name: str
    tiers: Mapping[str, str] = MappingProxyType({})
    """Tier → domain ID; tiers that are not known are absent."""
    free: tuple[tuple[int, ...], ...] = ()
    """Indices of the free GPUs by NVLink group; GPUs without NVLink are groups of one."""
    groups: tuple[tuple[int, ...], ...] = ()
    """All GPUs, free or not, likewise."""
    excluded: str | None = None
    """Why it takes no pods: ``not ready``, ``stale``, …; None if it does."""
    labels: Mapping[str, str] = MappingProxyType({})

    @property
    def group_size(self) -> int:
        """GPUs of the largest NVLink group, free or not."""
        return max([len(group) for group in self.groups], default=1)

    @property
    def free_gpus(self) -> int:
        """How many GPUs are free."""
        return sum(map(len, self.free))

    def emptied(self) -> "Host":
        """The host with all of its GPUs free."""
        return self._replace(free=self.groups)

    def without(self, gpus: Collection[int]) -> "Host":
        """The host with these GPUs in use."""
        return self._with_free(gpu for group in self.free for gpu in group if gpu not in gpus)

    def given_back(self, gpus: Collection[int]) -> "Host":
        """The host with these GPUs free again."""
        return self._with_free((*gpus, *(gpu for group in self.free for gpu in group)))

    def _with_free(self, gpus: Iterable[int]) -> "Host":
        free = frozenset(gpus)
        left = [tuple([gpu for gpu in group if gpu in free]) for group in self.groups]
        return self._replace(free=tuple([group for group in left if group]))

    def room(self, gpus: int) -> int:
        """How many pods of so many GPUs fit; none on a host that is excluded.

        A pod stays inside one NVLink group if the host has groups that large.
        """
        if self.excluded is not None:
            return 0
        if gpus <= self.group_size:
            return sum([len(group) // gpus for group in self.free])
        return self.free_gpus // gpus


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of one level with what is below it; at level 0 one host."""

    path: Path
    level: int
    children: tuple["Domain", ...] = ()
    host: Host | None = None

    @property
    def id(self) -> str:
        """Its own ID; the fleet has none."""
        return self.path[-1] if self.path else ""

    def hosts(self) -> Iterator[Host]:
        """All hosts in it, in order."""
        if self.host is not None:
            yield self.host
        for child in self.children:
            yield from child.hosts()


@dataclass(frozen=True, slots=True)
class Fleet:
    """All hosts, as a tree over the tiers that at least one of them is in."""

    levels: tuple[str, ...]
    """Names of the levels: ``node``, the tiers closest first, ``fleet``."""
    root: Domain
    hosts: Mapping[str, Host] = field(repr=False)

    def domains(self, level: int) -> Iterator[Domain]:
        """All domains of a level, in order."""
        return _at(self.root, level)


def changed(before: Fleet, hosts: Mapping[Path, Host]) -> Fleet:
    """The fleet with hosts that have other GPUs free, by their paths: only the domains that they are in are new."""
    everyone = {**before.hosts, **{host.name: host for host in hosts.values()}}
    return Fleet(before.levels, _changed(before.root, hosts), MappingProxyType(everyone))


def _changed(domain: Domain, hosts: Mapping[Path, Host]) -> Domain:
    if domain.host is not None:
        return Domain(domain.path, domain.level, host=hosts[domain.path])
    inside: dict[Path, dict[Path, Host]] = {}
    for path, host in hosts.items():
        inside.setdefault(path[: len(domain.path) + 1], {})[path] = host
    children = tuple(
        _changed(child, inside[child.path]) if child.path in inside else child for child in domain.children
    )
    return Domain(domain.path, domain.level, children)


def _at(domain: Domain, level: int) -> Iterator[Domain]:
    if domain.level == level:
        yield domain
        return
    for child in domain.children:
        yield from _at(child, level)


def fleet(hosts: Iterable[Host], tiers: Iterable[str], asked: Collection[str] = ()) -> Fleet:
    """The fleet of these hosts, which come in physical order; ``tiers`` are all there may be, closest first.

    Tiers that are ``asked`` for are levels also if no host is known to be in one.
    """
    everyone = tuple(hosts)
    used = tuple(tier for tier in tiers if tier in asked or any(tier in host.tiers for host in everyone))
    levels = (NODE, *used, FLEET)
    return Fleet(
        levels=levels,
        root=_tree((), len(levels) - 1, levels, everyone),
        hosts=MappingProxyType({host.name: host for host in everyone}),
    )


def _tree(path: Path, level: int, levels: tuple[str, ...], hosts: tuple[Host, ...]) -> Domain:
    if level == 0:
        return Domain(path, level, host=hosts[0])
    parts: dict[tuple[bool, str], list[Host]] = {}
    for host in hosts:
        parts.setdefault(_place(host, levels[:level]), []).append(host)
    children = tuple(_tree((*path, name), level - 1, levels, tuple(inside)) for (_known, name), inside in parts.items())
    return Domain(path, level, children)


def _place(host: Host, levels: tuple[str, ...]) -> tuple[bool, str]:
    """Whether the host's domain in the last of these levels is known, and its ID; else the closer domain's."""
    for level in reversed(levels):
        if level == NODE:
            return level == levels[-1], host.name
        if level in host.tiers:
            return level == levels[-1], host.tiers[level]
    raise AssertionError(levels)
