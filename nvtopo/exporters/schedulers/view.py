"""``View``: the graph as schedulers see it: a tree of named domains over nodes, closest tier first.

Every exporter converts from this one order. Names are label values: at most 63 characters, unique in their tier, and
sorted as the domains are in the building.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.cluster.claims import TIERS
from nvtopo.exporters.document import DomainEntry, GraphDocument

HOSTNAME: Final = "kubernetes.io/hostname"

#: Tier → the node label that has the name of a node's domain in it, written through Node Feature Discovery.
LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nvlinkDomain": "nvtopo.io/topology.nvlink-domain",
        "rack": "nvtopo.io/topology.rack",
        "leaf": "nvtopo.io/topology.leaf",
        "spine": "nvtopo.io/topology.spine",
        "core": "nvtopo.io/topology.core",
        "zone": "nvtopo.io/topology.zone",
    }
)

#: Which tiers a node is known to be in.
LEVELS_LABEL: Final = "nvtopo.io/topology.levels"

_LONGEST: Final = 63
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
#: A part of a name that is a number, or a short word and a number: ``12``, ``leaf12``. Part of a digest is not.
_NUMBERED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]{1,7}(?![A-Za-z0-9]))([A-Za-z]*)([0-9]{1,4})(?![A-Za-z0-9])"
)
_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A domain of one tier."""

    tier: str
    name: str
    nodes: tuple[str, ...]
    """In physical order, of all that are below it."""


class Branch(NamedTuple):
    """A domain as part of a tree: every domain and every node is directly below one other at most."""

    place: Place
    inner: tuple[Place, ...]
    """The domains directly below it, in physical order."""
    nodes: tuple[str, ...]
    """The nodes directly below it: those of no closer domain."""


@dataclass(frozen=True, slots=True)
class View:
    """The cluster for schedulers."""

    tiers: tuple[str, ...]
    """Exported tiers, closest first: those that at least one node is in."""
    places: Mapping[str, tuple[Place, ...]]
    """Tier → its domains, in physical order."""
    nodes: tuple[str, ...]
    """All nodes, in physical order; those in no tier come last."""
    of: Mapping[str, Mapping[str, str]]
    """Node → tier → the name of its domain."""
    shapes: tuple[tuple[str, ...], ...] = ()
    """The different sets of tiers, closest first, that nodes are known to be in; those with most tiers first."""
    left_out: Mapping[str, Place] = field(default_factory=dict)
    """Tier that is not exported → a closer domain that lies in two of its domains."""


def of(document: GraphDocument) -> View:
    """The view of a graph. A tier whose domains cut through those of a closer tier is left out: trees have to nest."""
    domains: dict[str, dict[str, DomainEntry]] = {
        tier: {key: one for key, one in document.domains.items() if one.tier == tier} for tier in TIERS
    }
    names = {tier: names_of({key: one.name for key, one in found.items()}) for tier, found in domains.items()}
    member = {
        name: {tier: key for tier, key in node.tiers.items() if key in names.get(tier, {})}
        for name, node in document.nodes.items()
    }
    cut = _cut([tier for tier in TIERS if domains[tier]], member)
    tiers = tuple(tier for tier, by in cut.items() if by is None)
    nodes = tuple(_ordered(document, tiers, names))
    inside = {
        node: MappingProxyType({tier: names[tier][member[node][tier]] for tier in tiers if tier in member[node]})
        for node in nodes
    }
    return View(
        tiers=tiers,
        places={tier: tuple(_places(tier, nodes, inside)) for tier in tiers},
        nodes=nodes,
        of=MappingProxyType(inside),
        shapes=_shapes(tiers, inside),
        left_out={tier: Place(by[0], domains[by[0]][by[1]].name, ()) for tier, by in cut.items() if by is not None},
    )


def _shapes(tiers: tuple[str, ...], inside: Mapping[str, Mapping[str, str]]) -> tuple[tuple[str, ...], ...]:
    found = dict.fromkeys(tuple(tier for tier in tiers if tier in own) for own in inside.values())
    return tuple(sorted(filter(None, found), key=lambda shape: (-len(shape), shape)))


def levels(tiers: Sequence[str]) -> str:
    """The value of ``LEVELS_LABEL``."""
    return ".".join(LABELS[tier].rpartition(".")[2] for tier in tiers)


def branches(view: View, tiers: Sequence[str]) -> tuple[Branch, ...]:
    """The domains of these tiers (closest first) as trees, closest first; those with nothing below are left out.

    A domain is below the closest outer one that any of its nodes is known to be in: as tiers nest, there is only one.
    """
    direct: dict[tuple[str, str], list[str]] = {}
    inner: dict[tuple[str, str], list[Place]] = {}
    for node in view.nodes:
        closest = next((tier for tier in tiers if tier in view.of[node]), None)
        if closest is not None:
            direct.setdefault((closest, view.of[node][closest]), []).append(node)
    found: list[Branch] = []
    for number, tier in enumerate(tiers):
        for place in view.places[tier]:
            key = tier, place.name
            if key not in direct and key not in inner:
                continue
            found.append(Branch(place, tuple(inner.get(key, ())), tuple(direct.get(key, ()))))
            for outer in tiers[number + 1 :]:
                above = next((view.of[node][outer] for node in place.nodes if outer in view.of[node]), None)
                if above is not None:
                    inner.setdefault((outer, above), []).append(place)
                    break
    return tuple(found)


def names_of(names: Mapping[str, str]) -> dict[str, str]:
    """Domain → a label value. Values that are not unique, or too long, end in a digest of the domain's ID.

    Numbers are padded, since schedulers sort values as text: ``leaf-2`` would come after ``leaf-10``.
    """
    fit = {key: _padded(_UNFIT.sub("-", name).strip("._-")) for key, name in names.items()}
    times = Counter(fit.values())
    return {
        key: name if name and len(name) <= _LONGEST and times[name] == 1 else _with_digest(name, key)
        for key, name in fit.items()
    }


def _padded(name: str) -> str:
    return _NUMBERED.sub(lambda found: f"{found[1]}{found[2]:0>{_DIGITS}}", name)


def _with_digest(name: str, key: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()[:10]
    return f"{name[: _LONGEST - 11]}-{digest}".lstrip("._-")


def _cut(tiers: Sequence[str], member: Mapping[str, Mapping[str, str]]) -> Mapping[str, tuple[str, str] | None]:
    """Tier → the first domain of a closer tier that lies in two of its domains; None if the tiers nest."""
    found: dict[str, tuple[str, str] | None] = {}
    for tier in tiers:
        kept = (closer for closer, by in found.items() if by is None)
        cut = ((closer, key) for closer in kept if (key := _in_two(closer, tier, member)) is not None)
        found[tier] = next(cut, None)
    return found


def _in_two(closer: str, outer: str, member: Mapping[str, Mapping[str, str]]) -> str | None:
    """A domain of the closer tier that lies in two of the outer one."""
    seen: dict[str, str] = {}
    both = (tiers for tiers in member.values() if closer in tiers and outer in tiers)
    return next(
        (own[closer] for own in both if seen.setdefault(own[closer], own[outer]) != own[outer]),
        None,
    )


def _ordered(document: GraphDocument, tiers: tuple[str, ...], names: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Nodes in the order of their outermost domains' names, then of closer ones, then as each domain lists them."""
    place: dict[str, int] = {}
    for domain in document.domains.values():
        for number, node in enumerate(domain.nodes):
            place.setdefault(node, number)

    def key(name: str) -> tuple[object, ...]:
        own = document.nodes[name].tiers
        known = (names[tier].get(own.get(tier, "")) for tier in reversed(tiers))
        return (*((value is None, value or "") for value in known), place.get(name, 0), name)

    return iter(sorted(document.nodes, key=key))


def _places(tier: str, nodes: tuple[str, ...], inside: Mapping[str, Mapping[str, str]]) -> Iterator[Place]:
    """By the way from the outermost tier, as schedulers sort."""
    members: dict[str, list[str]] = {}
    for node in nodes:
        if tier in inside[node]:
            members.setdefault(inside[node][tier], []).append(node)
    return (Place(tier, name, tuple(group)) for name, group in members.items())
