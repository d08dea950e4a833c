"""``Fabric``: what one source sees of the network, before anything is concluded from it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

Role = Literal["compute", "other", "unknown"]
"""``other``: storage, management, a router, an aggregation node. ``unknown``: nobody says which host it is in."""


class Adapter(NamedTuple):
    """An end of a cable that is no switch."""

    node: str
    """The host; empty where nobody says."""
    nic: str
    """The device in it; empty where nobody says."""
    role: Role = "compute"
    said: str = ""
    """What the source says of it, for messages."""


class End(NamedTuple):
    """Where a cable ends: a switch or an adapter, and its port."""

    key: str
    port: str


class Known(NamedTuple):
    """What captures and resources say beside a source of the network."""

    guids: Mapping[str, tuple[str, str]]
    """GUID, 16 digits → node and NIC."""
    nodes: frozenset[str] = frozenset()
    labels: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    """Node → its labels, of the Nodes that are given."""

    def by_short_name(self) -> dict[str, str]:
        """First part of a node's name, in small letters → the node, where no other node begins so."""
        found: dict[str, str] = {}
        for node in sorted(self.nodes):
            short = node.partition(".")[0].lower()
            found[short] = "" if short in found else node
        return {short: node for short, node in found.items() if node}

    def called(self, host: str, short: Mapping[str, str]) -> str:
        """As captures call a host; ``short`` is ``by_short_name``."""
        return host if host in self.nodes else short.get(host.partition(".")[0].lower(), host)


NOTHING: Final = Known({})


class Fabric(NamedTuple):
    """Switches, adapters and cables, by keys that are unique in their source, such as GUIDs."""

    source: str
    """``ibnetdiscover``, ``lldp``, …"""
    switches: Mapping[str, str]
    """Key → name; names are unique."""
    adapters: Mapping[str, Adapter]
    cables: tuple[tuple[End, End], ...]
    """Each once, its ends in order."""
    loops: tuple[End, ...] = ()
    """Ports of switches that are cabled to their own switch."""
    partial: str = ""
    """Why it does not show everything; empty where it does."""


def cable(one: End, other: End) -> tuple[End, End]:
    """The cable, its ends in order."""
    return (one, other) if one <= other else (other, one)


def joined(fabrics: Sequence[Fabric]) -> Fabric:
    """Several outputs of one source as one: a fabric for each rail, or one taken in parts."""
    if len(fabrics) == 1:
        return fabrics[0]
    switches: dict[str, str] = {}
    adapters: dict[str, Adapter] = {}
    names: dict[str, str] = {}
    for fabric in fabrics:
        for key, name in fabric.switches.items():
            if names.setdefault(name, key) != key:
                switches.setdefault(key, f"{name} {key}")
            switches.setdefault(key, name)
        adapters |= {key: one for key, one in fabric.adapters.items() if key not in adapters or not adapters[key].node}
    return Fabric(
        source=fabrics[0].source,
        switches=switches,
        adapters=adapters,
        cables=tuple(sorted({one for fabric in fabrics for one in fabric.cables})),
        loops=tuple(sorted({end for fabric in fabrics for end in fabric.loops})),
        partial="; ".join(dict.fromkeys(fabric.partial for fabric in fabrics if fabric.partial)),
    )
