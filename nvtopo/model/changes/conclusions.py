"""What differs between what follows from two readings: groups, domain, nearest NICs."""

from collections.abc import Iterator
from typing import Any

from nvtopo.model.changes.change import DERIVED, Change
from nvtopo.model.conclusions import names
from nvtopo.model.conclusions.derive import Derived


def differing_conclusions(before: Derived, after: Derived, *, every: bool) -> Iterator[Change]:
    """Where the conclusions are all that can be compared (``every``), NUMA nodes, affinity and links of pairs too."""
    yield from _change("node", "nvlinkGroups", _groups(before), _groups(after))
    yield from _change("node", "nvlinkDomain", before.nvlink_domain, after.nvlink_domain)
    for index in sorted(before.nearest_nics.keys() & after.nearest_nics.keys()):
        yield from _change(names.gpu(index), "nearestNics", _nearest(before, index), _nearest(after, index))
    if every:
        yield from _of_places(before, after)


def _of_places(before: Derived, after: Derived) -> Iterator[Change]:
    for gone in map(names.gpu, sorted(before.numa.keys() - after.numa.keys())):
        yield Change(kind=DERIVED, subject=gone, before=gone)
    for new in map(names.gpu, sorted(after.numa.keys() - before.numa.keys())):
        yield Change(kind=DERIVED, subject=new, after=new)
    for index in sorted(before.numa.keys() & after.numa.keys()):
        key = names.gpu(index)
        yield from _change(key, "numa", before.numa[index], after.numa[index])
        yield from _change(key, "cpuAffinity", before.cpu_affinity[index] or None, after.cpu_affinity[index] or None)
    links = [{(pair.a, pair.b): names.link(pair) for pair in side.gpu_pairs} for side in (before, after)]
    for a, b in sorted(links[0].keys() & links[1].keys()):
        yield from _change(f"{names.gpu(a)}, {names.gpu(b)}", "gpuPairs.link", links[0][a, b], links[1][a, b])


def _change(subject: str, path: str, before: Any, after: Any) -> Iterator[Change]:
    if before != after:
        yield Change(kind=DERIVED, subject=subject, path=path, before=before, after=after)


def _groups(derived: Derived) -> list[dict[str, Any]] | None:
    """Each group and whether every pair in it has a usable path; None where that can't be known."""
    if derived.nvlink_groups is None or derived.nvlink_full_mesh is None:
        return None
    groups = zip(derived.nvlink_groups, derived.nvlink_full_mesh, strict=True)
    return [{"gpus": list(group), "fullMesh": full} for group, full in groups]


def _nearest(derived: Derived, index: int) -> dict[str, Any] | None:
    nearest = derived.nearest_nics[index]
    return None if nearest.level is None else {"level": nearest.level.name, "nics": list(nearest.nics)}
