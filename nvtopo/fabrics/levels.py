"""Which switches are leaves, spines and cores: by what they are cabled to, not by what they are called."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nvtopo.fabrics.fabric import Fabric


class Levels(NamedTuple):
    """The switches of a fabric by their distance from the hosts."""

    leaves: frozenset[str]
    """With hosts, or where hosts belong."""
    above: tuple[frozenset[str], ...]
    """Spines, then cores, as far as there are any."""
    around: Mapping[str, frozenset[str]]
    """Switch → the switches that it is cabled to."""

    def upward(self, switch: str, level: int) -> frozenset[str]:
        """The switches of level ``level`` above the leaves, 0 the spines, that a switch is cabled to."""
        return self.around.get(switch, frozenset()) & self.above[level]


def of(fabric: Fabric, hosts: Mapping[str, frozenset[str]]) -> Levels:
    """The levels. ``hosts`` says of a switch which hosts are on it; a switch that nobody is on is not in it."""
    around = _around(fabric)
    leaves = {switch for switch in hosts if not _is_above(switch, hosts, around)}
    spines = _next(leaves, leaves, around)
    beyond = _next(spines, leaves | spines, around)
    # A leaf without hosts has the spines of the other leaves above it, all of them in one pod; a core joins pods.
    pods = _pods(leaves, spines, around)
    empty = {switch for switch in beyond if _is_leaf(fabric.switches[switch], around[switch] & spines, pods)}
    leaves |= empty
    above = [spines] if spines else []
    known, last = leaves | spines, spines
    while last := _next(last, known, around):
        above.append(last)
        known = known | last
    return Levels(frozenset(leaves), tuple(frozenset(level) for level in above), around)


def _is_above(switch: str, hosts: Mapping[str, frozenset[str]], around: Mapping[str, frozenset[str]]) -> bool:
    """Whether the hosts on it are a few that were put on a spine, such as a fabric manager.

    It is cabled to at least two switches with hosts, each of them with at least twice as many.
    """
    below = [len(hosts[other]) for other in around.get(switch, ()) if other in hosts]
    return len(below) > 1 and min(below) >= 2 * len(hosts[switch])


def _around(fabric: Fabric) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {switch: set() for switch in fabric.switches}
    for one, other in fabric.cables:
        if one.key in found and other.key in found:
            found[one.key].add(other.key)
            found[other.key].add(one.key)
    return {switch: frozenset(others) for switch, others in found.items()}


def _next(level: Iterable[str], known: Iterable[str], around: Mapping[str, frozenset[str]]) -> set[str]:
    return {other for switch in level for other in around[switch]} - set(known)


def _pods(leaves: set[str], spines: set[str], around: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    """The spines that leaves hold together."""
    pods: list[frozenset[str]] = []
    for leaf in sorted(leaves):
        joined = around[leaf] & spines
        for pod in [pod for pod in pods if pod & joined]:
            joined |= pod
            pods.remove(pod)
        if joined:
            pods.append(joined)
    return pods


def _is_leaf(name: str, spines: frozenset[str], pods: list[frozenset[str]]) -> bool:
    lowered = name.lower()
    if "core" in lowered or "spine" in lowered:
        return False
    if "leaf" in lowered or "tor" in lowered:
        return True
    touched = [pod for pod in pods if pod & spines]
    # With one pod alone nothing says what a core would be for.
    return len(touched) == 1
