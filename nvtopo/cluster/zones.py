"""Zones that an operator names: which nodes share a power feed, a cooling loop, or whatever else fails at once.

A zone is no tier: it is not part of the network, zones do not nest, and no link or path follows from one.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.cluster.claims import Reading
from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.model.formats.listing import listed

SOURCE: Final = "operator"
"""Who says so: nobody but an operator's file does."""
_MOST_NAMES: Final = 6

Zones = Mapping[str, str]
"""Kind → zone: ``power`` → ``feed-a``."""
NONE: Final[Zones] = MappingProxyType({})


class Merged(NamedTuple):
    """What all files say together."""

    zones: Mapping[str, Zones] = MappingProxyType({})
    """Of the nodes that are in any; kinds in the order of their names."""
    findings: tuple[NodeFinding, ...] = ()


def merge(readings: Iterable[Reading]) -> Merged:
    """Of files that disagree about a node none counts for that node, and it is a finding."""
    said: dict[str, dict[str, set[str]]] = {}
    for reading in readings:
        for claim in reading.zones:
            said.setdefault(claim.node, {}).setdefault(claim.kind, set()).add(claim.zone)
    zones = {
        node: {kind: min(several) for kind, several in sorted(kinds.items()) if len(several) == 1}
        for node, kinds in said.items()
    }
    findings = tuple(
        found("source", (node,), f"files name {len(several)} {kind} zones of {node}: {_some(several)}", subject=node)
        for node, kinds in said.items()
        for kind, several in kinds.items()
        if len(several) > 1
    )
    return Merged({node: kinds for node, kinds in zones.items() if kinds}, findings)


def _some(names: Iterable[str]) -> str:
    return listed(sorted(names), _MOST_NAMES)
