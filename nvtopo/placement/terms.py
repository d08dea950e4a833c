"""``Terms``: what the cost of a placement has besides the gang's own sends: KV transfer, queues, caches.

A term is known for all placements or for none, since they are compared by it. So one node that could serve, and whose
queue nobody knows, makes the term unknown: it is null and not in the total, and the answer says why.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from nvtopo.placement import cost
from nvtopo.placement.cost import Prices
from nvtopo.placement.fleet import Fleet, Host, Path
from nvtopo.placement.links import Link
from nvtopo.placement.request import Load, Request

_MILLION = 1_000_000


class Terms(NamedTuple):
    """What placements of one gang in one fleet cost, term by term, weighted, in picoseconds."""

    prices: Prices
    kv: "_Kv | None"
    queue: Mapping[str, int] | None
    """Node → what using it adds; None if the term is not known or not asked for."""
    cache: Mapping[str, int] | None
    unknown: Mapping[str, str]
    """Term → why it is not known."""

    def at(self, path: Path) -> int:
        """What a domain costs because of where it is."""
        return 0 if self.kv is None else self.kv.at(path)

    def charge(self, node: str) -> int:
        """What using a node adds."""
        return (self.queue[node] if self.queue is not None else 0) + (self.cache[node] if self.cache is not None else 0)


class _Kv(NamedTuple):
    """Each group that prefills sends over the level at which it and the gang meet; the mean over the groups."""

    by_level: tuple[int, ...]
    sources: tuple[tuple[Path, ...], ...]

    def at(self, path: Path) -> int:
        top = len(self.by_level) - 1
        return sum(
            max(self.by_level[top - _common(path, source)] for source in group) for group in self.sources
        ) // len(self.sources)


def _common(one: Path, other: Path) -> int:
    """How many steps from the outermost domain two paths share."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def resolved(usable: Fleet, request: Request, links: tuple[Link, ...]) -> Terms:
    """The terms for this gang in this fleet."""
    unknown: dict[str, str] = {}
    sizes = {request.gpus, request.leader_gpus or request.gpus} if request.load is not None else set()
    able = [host for host in usable.hosts.values() if any(map(host.room, sizes))]
    weights = request.weights
    return Terms(
        Prices(links, request.work),
        _kv(usable, request, links, unknown),
        _loads("queue", able, request, lambda load: load.queue, weights.queue_ps, unknown),
        _loads("cache", able, request, _missed(weights.cache_ps), 1, unknown),
        unknown,
    )


def _missed(whole: int) -> Callable[[Load], int | None]:
    return lambda load: None if load.misses is None else whole * load.misses // _MILLION


def _kv(usable: Fleet, request: Request, links: tuple[Link, ...], unknown: dict[str, str]) -> _Kv | None:
    if request.kv is None:
        return None
    named = [node for group in request.kv.sources for node in group]
    missing = [node for node in named if node not in usable.hosts]
    if missing or not named:
        unknown["kvTransfer"] = f"nobody knows where {missing[0]} is" if missing else "no node prefills"
        return None
    paths = {domain.host.name: domain.path for domain in usable.domains(0) if domain.host is not None}
    by_level = tuple(request.weights.kv_transfer * cost.sent_ps(link, request.kv.bytes) for link in links)
    return _Kv(by_level, tuple(tuple(paths[node] for node in group) for group in request.kv.sources if group))


def _loads(  # noqa: PLR0913, PLR0917 - a term, and how it is read
    term: str,
    able: Iterable[Host],
    request: Request,
    value: Callable[[Load], int | None],
    weight: int,
    unknown: dict[str, str],
) -> Mapping[str, int] | None:
    """Node → its value; None if the term was not asked for, or not known of each node that could serve."""
    if request.load is None:
        return None
    found = {host.name: value(request.load.get(host.name, Load())) for host in able}
    known = {node: weight * one for node, one in found.items() if one is not None}
    if len(known) == len(found):
        return known
    if any(value(load) is not None for load in request.load.values()):
        first = next(node for node, one in found.items() if one is None)
        unknown[term] = f"no fresh value of {len(found) - len(known)} of {len(found)} nodes, such as {first}"
    else:
        unknown[term] = "no fresh value of any node"
    return None
