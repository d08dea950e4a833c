"""The frontier of gangs with stages of several pods: for one domain, the least cost at which it holds exactly so many.

A whole stage inside a domain makes it cheaper (``cost.Prices.rebates``), so more pods may cost less and no entry beats
another with a different number. How the pods in a domain are made into stages needs no search: those that are together
form a stage, and only what is left over forms one farther out. Stages can be exchanged so that this never costs more.
"""

from collections.abc import Iterator, Mapping, Sequence

from nvtopo.placement.fleet import Domain, Host, Path
from nvtopo.placement.frontier import EMPTY, NEITHER, NOTHING, ChildShare, Entry, Frontier


def of_host(host: Host, gpus: int, most: int, charge: int) -> Frontier:
    """What one host holds: each number of pods up to its room."""
    cost = (charge, 0, host.free_gpus)
    return {NEITHER: (NOTHING, *(Entry(cost, pods) for pods in range(1, min(host.room(gpus), most) + 1)))}


def joined(left: Frontier, child: Domain, right: Frontier, most: int) -> Frontier:
    """What the domains of ``left`` and one more hold together, up to ``most`` pods."""
    best = {entry.pods: entry for entry in left[NEITHER]}
    for addition in right[NEITHER]:
        if not addition.pods:
            continue
        part = ChildShare(child, addition, NEITHER)
        (x, y, z) = addition.cost
        for entry in left[NEITHER]:
            pods = entry.pods + addition.pods
            cost = (entry.cost[0] + x, entry.cost[1] + y, entry.cost[2] + z)
            if pods <= most and (pods not in best or cost < best[pods].cost):
                best[pods] = Entry(cost, pods, part, entry)
    return {NEITHER: tuple(best[pods] for pods in sorted(best))}


def at_most(frontier: Frontier, pods: int) -> Frontier:
    """The same, holding no more than so many pods."""
    return {NEITHER: tuple(entry for entry in frontier[NEITHER] if entry.pods <= pods)}


def used(frontier: Frontier, weight: int, rebate: int, stage_pods: int, free: int) -> Frontier:
    """The frontier of a domain as its parent sees it."""

    def charged(entry: Entry) -> Entry:
        if not entry.pods:
            return entry
        stages = entry.pods // stage_pods
        first, second, third = entry.cost
        return entry._replace(cost=(first + weight * (stages > 0) - rebate * stages, second + free, third))

    return {NEITHER: tuple(map(charged, frontier.get(NEITHER, EMPTY[NEITHER])))}


def in_stages(paths: Sequence[Path], stage_pods: int) -> list[int]:
    """The pods, given by the path to their hosts, in the order of ranks: stage by stage, domain by domain.

    Each domain's own stages come before those that its pods form with others.
    """
    stages, _loose = _stages(list(range(len(paths))), paths, 0, stage_pods)
    return [pod for stage in stages for pod in stage]


def _stages(pods: list[int], paths: Sequence[Path], depth: int, size: int) -> tuple[list[list[int]], list[int]]:
    """The stages of these pods, which share a path of ``depth``, and the pods that are left over."""
    stages: list[list[int]] = []
    loose: list[int] = []
    if depth == len(paths[pods[0]]):
        loose = pods
    else:
        for child in _by(pods, paths, depth).values():
            own, left = _stages(child, paths, depth + 1, size)
            stages += own
            loose += left
    whole = len(loose) // size * size
    stages += [loose[first : first + size] for first in range(0, whole, size)]
    return stages, loose[whole:]


def _by(pods: list[int], paths: Sequence[Path], depth: int) -> Mapping[str, list[int]]:
    found: dict[str, list[int]] = {}
    for pod in pods:
        found.setdefault(paths[pod][depth], []).append(pod)
    return found


def counts(paths: Sequence[Path], level: int) -> Iterator[list[int]]:
    """The pods of each domain used, level by level from the host up to ``level``."""
    depth = len(paths[0])
    for up in range(level + 1):
        found: dict[Path, int] = {}
        for path in paths:
            domain = path[: depth - up]
            found[domain] = found.get(domain, 0) + 1
        yield list(found.values())
