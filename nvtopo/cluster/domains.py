"""Domains: the nodes that share a tier, in physical order, with a short name and the trays that say nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from nvtopo.cluster import rackname, tiers
from nvtopo.cluster.nodes import GraphNode


@dataclass(frozen=True, slots=True)
class Silence:
    """Compute trays of a chassis that are numbered between others and from which no node is known."""

    chassis: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of one tier; ``nodes`` in physical order."""

    id: str
    tier: str
    parent: str | None
    """The domain of the next tier outward, where one is known for all of its nodes."""
    nodes: tuple[str, ...]
    name: str
    """Short and stable, in physical order (``rackname``)."""
    chassis: tuple[str, ...] = ()
    """Serial numbers of the chassis its nodes sit in: two for a domain over two racks."""
    silent: tuple[Silence, ...] = ()


def of(nodes: Iterable[GraphNode]) -> Mapping[str, Domain]:
    """Domain ID → domain, in the order of their names."""
    everyone = sorted(nodes, key=GraphNode.order)
    members: dict[str, list[GraphNode]] = {}
    for node in everyone:
        for domain in node.tiers.values():
            members.setdefault(domain, []).append(node)
    chassis = {domain: _chassis(group) for domain, group in members.items()}
    names = rackname.unique(chassis)
    silences = silent_trays(everyone)
    found = (_domain(domain, group, names[domain], chassis[domain], silences) for domain, group in members.items())
    return MappingProxyType(
        {domain.id: domain for domain in sorted(found, key=lambda domain: (domain.name, domain.id))}
    )


def silent_trays(nodes: Iterable[GraphNode]) -> Mapping[str, tuple[Silence, ...]]:
    """Chassis → the gaps in its numbering of trays. Before the first and after the last nothing is known."""
    trays: dict[str, set[int]] = {}
    for node in nodes:
        if node.position.chassis is not None and node.position.tray is not None:
            trays.setdefault(node.position.chassis, set()).add(node.position.tray)
    return {chassis: _gaps(chassis, sorted(numbers)) for chassis, numbers in trays.items()}


def _gaps(chassis: str, numbers: list[int]) -> tuple[Silence, ...]:
    return tuple(Silence(chassis, here + 1, there - 1) for here, there in pairwise(numbers) if there - here > 1)


def _chassis(group: list[GraphNode]) -> tuple[str, ...]:
    return tuple(sorted({node.position.chassis for node in group if node.position.chassis is not None}))


def _domain(
    domain: str,
    group: list[GraphNode],
    name: str,
    chassis: tuple[str, ...],
    silences: Mapping[str, tuple[Silence, ...]],
) -> Domain:
    return Domain(
        id=domain,
        tier=tiers.NVLINK_DOMAIN,
        parent=None,
        nodes=tuple(node.name for node in group),
        name=name,
        chassis=chassis,
        silent=tuple(silence for serial in chassis for silence in silences.get(serial, ())),
    )
