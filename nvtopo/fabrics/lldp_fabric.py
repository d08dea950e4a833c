"""From what hosts heard by LLDP to a fabric, and to NICs that are on another port number than those beside them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from nvtopo.cluster.claims import Reading
from nvtopo.cluster.findings import NodeFinding
from nvtopo.fabrics import checks, conclude, descriptions
from nvtopo.fabrics.fabric import NOTHING, Adapter, End, Fabric, Known, cable
from nvtopo.fabrics.lldp import Heard, Neighbour
from nvtopo.model.conclusions.order import natural

SOURCE: Final = "lldp"
_BREAKOUT: Final = re.compile(r"(?<=\d)(?::\d+|p\d+|s\d+|[a-h])$")
_OWN_NETWORK: Final = re.compile(r"(?:^|[^a-z])(?:mgmt|mgt|oob|ipmi|bmc|ilo|idrac)(?:[^a-z]|$)", re.IGNORECASE)
_PEERS: Final = 3


def reading(heard: Sequence[Heard], known: Known = NOTHING) -> Reading:
    """What all hosts heard, together."""
    fabric = _fabric(heard, known)
    if not fabric.cables:
        return Reading(refused=_nobody(heard))
    found = conclude.of(fabric)
    if found.refused is not None:
        return found
    more = [finding for one in heard for finding in (*_slots(one), *_unclear(one))]
    return found._replace(findings=tuple(sorted((*found.findings, *more))))


def _fabric(heard: Sequence[Heard], known: Known) -> Fabric:
    """Each interface is an adapter; those of a management network are none that compute."""
    keys = {neighbour: _key(neighbour) for one in heard for neighbour in one.switches.values()}
    named: dict[str, str] = {}
    for neighbour, key in keys.items():
        name = neighbour.name or neighbour.chassis
        named[key] = min(named.get(key, name), name, key=lambda text: (len(text), text))
    names = descriptions.of_switches(named)
    adapters: dict[str, Adapter] = {}
    short = known.by_short_name()
    cables: set[tuple[End, End]] = set()
    for one in heard:
        host = known.called(one.host, short)
        for interface, neighbour in one.switches.items():
            adapter = f"{host} {interface}"
            other = _OWN_NETWORK.search(interface) or _OWN_NETWORK.search(neighbour.name)
            adapters[adapter] = Adapter(host, interface, "other" if other else "compute", adapter)
            cables.add(cable(End(adapter, ""), End(keys[neighbour], _port(neighbour))))
    return Fabric(SOURCE, names, adapters, tuple(sorted(cables)))


def _nobody(heard: Sequence[Heard]) -> str:
    """Why no switch is known."""
    unclear = sum(len(one.unclear) for one in heard)
    why = f"; {unclear} ports hear several, none of them more likely than the others" if unclear else ""
    return f"expected a switch on a port of {len(heard)} hosts, found none among the neighbours{why}"


def _key(one: Neighbour) -> str:
    """The chassis with its name, without the domain: some answer for several with one ID."""
    return f"{one.chassis} {one.name.partition('.')[0].lower()}".strip()


def _port(one: Neighbour) -> str:
    """The port's name; of one that gives its MAC, its description."""
    return one.port_description if one.port_kind == "mac" and one.port_description else one.port


def _slots(one: Heard) -> Iterator[NodeFinding]:
    """NICs of one kind are on one port number of each rail's switch; who is elsewhere is in a wrong port."""
    kinds: dict[tuple[str, str], list[tuple[str, Neighbour]]] = {}
    on = Counter(_key(neighbour) for neighbour in one.switches.values())
    for interface in sorted(one.switches, key=natural):
        neighbour = one.switches[interface]
        if on[_key(neighbour)] == 1 and not _OWN_NETWORK.search(interface):
            kind = re.sub(r"\d+", "#", interface), re.sub(r"\d+", "#", _cage(neighbour.port))
            kinds.setdefault(kind, []).append((interface, neighbour))
    for several in kinds.values():
        cages = Counter(_cage(neighbour.port) for _, neighbour in several)
        usual, count = cages.most_common(1)[0]
        if len(several) < _PEERS or 2 * count <= len(several):
            continue
        for interface, neighbour in several:
            if _cage(neighbour.port) != usual:
                yield checks.cabling(
                    checks.CABLE_MISPLACED,
                    (one.host,),
                    f"{one.host} {interface}",
                    f"{one.host}: {interface} is on {neighbour.name or neighbour.chassis} port"
                    f" {neighbour.port}, its peers are on port {usual} of theirs",
                )


def _cage(port: str) -> str:
    """The port without the part of a split one: ``1/0/1:2``, ``Ethernet54p1``, ``swp3s1``, ``ethernet12a``."""
    return _BREAKOUT.sub("", port)


def _unclear(one: Heard) -> Iterator[NodeFinding]:
    for interface, names in sorted(one.unclear.items()):
        evidence = f"{one.host}: {interface} hears {len(names)} switches, {', '.join(names)}; none is taken for its own"
        yield checks.source(checks.NEIGHBOUR_UNCLEAR, (one.host,), f"{one.host} {interface}", evidence)
