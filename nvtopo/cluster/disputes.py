"""Two nodes that claim one GPU or one place: who is right is recorded, not guessed.

The node whose claim was seen first holds it. The others are suspects: the finding is about them alone. If none was
first, all are suspects. Nobody loses health for it; what a suspect claims is ``disputed``, and placement leaves it out.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from immutables import Map, MapMutation

from nvtopo.cluster import records as recording
from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.cluster.nodes import GraphNode
from nvtopo.cluster.position import is_filler
from nvtopo.cluster.records import Key, NodeRecord


class Claimants(NamedTuple):
    """Who claims what."""

    all: Map[Key, tuple[str, ...]] = Map()
    """Names in order."""
    contested: Map[Key, tuple[str, ...]] = Map()
    """What several nodes claim."""


class Ruling(NamedTuple):
    """One GPU or place that several nodes claim."""

    key: Key
    claimants: tuple[str, ...]
    holder: str | None
    """Whose claim was seen before all others."""

    @property
    def suspects(self) -> tuple[str, ...]:
        """All but the holder."""
        return tuple(name for name in self.claimants if name != self.holder)


def keys(node: GraphNode | None) -> frozenset[Key]:
    """The GPUs and the place that a node claims for itself alone. A UUID that was blanked out names no GPU."""
    if node is None or node.topology is None:
        return frozenset()
    gpus = {("gpu", gpu.uuid) for gpu in node.topology.gpus if not is_filler(gpu.uuid.removeprefix("GPU-"))}
    return frozenset(gpus | ({("place", str(node.position))} if node.position.exact else set()))


def moved(before: Claimants, changes: Iterable[tuple[str, frozenset[Key], frozenset[Key]]]) -> Claimants:
    """The claimants after nodes changed: name, what it claimed, what it claims."""
    everybody, contested = before.all.mutate(), before.contested.mutate()
    for name, old, new in changes:
        for key in old ^ new:
            names = set(everybody.get(key, ()))
            claimants = tuple(sorted(names | {name} if key in new else names - {name}))
            _put(everybody, key, claimants)
            _put(contested, key, claimants if len(claimants) > 1 else ())
    return Claimants(everybody.finish(), contested.finish())


def rulings(
    before: Map[Key, Ruling], claimants: Claimants, records: Mapping[str, NodeRecord], touched: Container[str]
) -> Map[Key, Ruling]:
    """All that is contested. What nobody who was touched claims is as it was before; the same object if all is."""
    contested = claimants.contested
    gone = [key for key in before if key not in contested]
    fresh: dict[Key, Ruling] = {}
    for key, names in contested.items():
        known = before.get(key)
        if known is None or known.claimants != names or any(name in touched for name in names):
            fresh[key] = _ruling(key, names, records)
    fresh = {key: ruling for key, ruling in fresh.items() if before.get(key) != ruling}
    if not gone and not fresh:
        return before
    found = before.mutate()
    for key in gone:
        del found[key]
    found.update(fresh)
    return found.finish()


def findings(rulings: Mapping[Key, Ruling]) -> Iterator[NodeFinding]:
    """About the suspects: one for the place, and one for all GPUs of the same suspects."""
    gpus: dict[tuple[tuple[str, ...], str | None], list[str]] = {}
    for ruling in (rulings[key] for key in sorted(rulings)):
        kind, value = ruling.key
        if kind == "place":
            said = f"{', '.join(ruling.claimants)} claim one place: {value}{_first(ruling.holder)}"
            yield found("same-place", ruling.suspects, said, subject=value)
        else:
            gpus.setdefault((ruling.claimants, ruling.holder), []).append(value)
    for (claimants, holder), uuids in gpus.items():
        suspects = tuple(name for name in claimants if name != holder)
        which = f"{uuids[0]} is" if len(uuids) == 1 else f"{len(uuids)} GPUs, {min(uuids)} the first, are"
        said = f"{which} claimed by {', '.join(claimants)}{_first(holder)}"
        yield found("same-gpu", suspects, said, subject=min(uuids))


def disputed(rulings: Iterable[Ruling]) -> Mapping[str, frozenset[Key]]:
    """Suspect → what it claims and does not hold."""
    found: dict[str, set[Key]] = {}
    for ruling in rulings:
        for name in ruling.suspects:
            found.setdefault(name, set()).add(ruling.key)
    return {name: frozenset(several) for name, several in found.items()}


def cells(node: GraphNode, claimed: frozenset[Key]) -> tuple[str, ...]:
    """What of the node is disputed: GPUs as its health names them, and ``place``."""
    gpus = () if node.topology is None else node.topology.gpus
    found = [gpu.key for gpu in gpus if ("gpu", gpu.uuid) in claimed]
    return (*found, *(["place"] if any(kind == "place" for kind, _ in claimed) else ()))


def _ruling(key: Key, claimants: tuple[str, ...], records: Mapping[str, NodeRecord]) -> Ruling:
    known = sorted((time, name) for name in claimants if (time := recording.since(records.get(name), key)) is not None)
    first = bool(known) and (len(known) == 1 or known[0][0] < known[1][0])
    return Ruling(key, claimants, known[0][1] if first else None)


def _first(holder: str | None) -> str:
    return "" if holder is None else f"; {holder} was first"


def _put(found: MapMutation[Key, tuple[str, ...]], key: Key, names: tuple[str, ...]) -> None:
    if names:
        found[key] = names
    else:
        found.pop(key, None)
