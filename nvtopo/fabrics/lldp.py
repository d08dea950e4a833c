"""What ``lldpctl -f json`` and ``-f json0`` print on a host: the neighbours that each of its ports heard.

A port may hear several: its switch, other hosts behind a bridge, and the host itself through its virtual functions. The
switch is told by what it says of itself, never by the order in which they were heard.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from nvtopo.fabrics.refused import Refused

_GENERIC: Final = re.compile(r"(?:lldp(?:ctl|cli|d)?|neighbou?rs|output|stdout)\d*", re.IGNORECASE)
_AROUND: Final = re.compile(r"^(?:lldp(?:ctl|cli|d)?)[._-]+|[._-]+lldp(?:ctl|cli|d)?$", re.IGNORECASE)
#: Systems of hosts. A switch's system may be built on one, but names its ports by interface.
_HOST_SYSTEM: Final = re.compile(
    r"ubuntu|debian|red hat|rocky|alma|centos|fedora|suse|oracle linux|amazon linux|flatcar|talos|windows|esxi|"
    r"^linux\b|connectx|bluefield",
    re.IGNORECASE,
)
#: What a DPU calls the ports toward its own host.
_REPRESENTOR: Final = re.compile(r"(?:c\d+)?pf\d+(?:hpf|vf\d+|sf\d+)", re.IGNORECASE)
_MOST: Final = 10_000


class Neighbour(NamedTuple):
    """What one port heard of one other."""

    interface: str
    chassis: str
    """Kind and value of its ID: ``mac 02:00:00:00:07:00``."""
    name: str
    system: str
    capabilities: frozenset[str]
    """Those that are on; empty where it says none."""
    port_kind: str
    port: str
    port_description: str


class Heard(NamedTuple):
    """What one host heard."""

    host: str
    switches: Mapping[str, Neighbour]
    """Interface → its switch."""
    unclear: Mapping[str, tuple[str, ...]]
    """Interface → the switches it heard, none of them more likely than the others."""


def looks_like(document: Any) -> bool:
    """Whether it is what lldpctl prints."""
    return isinstance(document, dict) and "lldp" in document and isinstance(document["lldp"], dict | list)


def read(document: Any, path: str) -> Heard:
    """What the host heard; it is called after itself if it says its name or heard it, else after its file.

    Raises:
        Refused: it heard nobody.
    """
    found = list(_neighbours(document))
    if not found:
        raise Refused("expected neighbours that an interface heard, found none")
    own = _local(document) or _heard_itself(found) or host_of(path)
    return heard(own, found)


def heard(own: str, found: Sequence[Neighbour]) -> Heard:
    """What a host of that name heard; of itself, as its virtual functions say it, nothing counts."""
    itself = _heard_itself(found)
    by_interface: dict[str, list[Neighbour]] = {}
    for one in found:
        if not _same_host(one.name, own) and not _same_host(one.name, itself):
            by_interface.setdefault(one.interface, []).append(one)
    switches: dict[str, Neighbour] = {}
    unclear: dict[str, tuple[str, ...]] = {}
    for interface, several in by_interface.items():
        best = _best(several)
        if len(best) == 1:
            switches[interface] = best[0]
        elif best:
            unclear[interface] = tuple(sorted(one.name or one.chassis for one in best))
    return Heard(own, switches, unclear)


def host_of(path: str) -> str:
    """The host after which a file or its folder is called."""
    for part in reversed(path.split("/")):
        stem = re.sub(r"\.(?:json0?|txt|out|log)$", "", part, flags=re.IGNORECASE)
        name = _AROUND.sub("", stem)
        if name and not _GENERIC.fullmatch(name):
            return name
    return path


def _best(several: Iterable[Neighbour]) -> list[Neighbour]:
    """The switches among those that a port heard; of several those that say most clearly that they are one."""
    distinct = {(one.name or one.chassis, one.port): one for one in several}
    rated = [(rate, one) for one in distinct.values() if (rate := _rate(one)) > 0]
    top = max((rate for rate, _ in rated), default=0)
    return [one for rate, one in rated if rate == top]


def _rate(one: Neighbour) -> int:
    """How clearly it is a switch; 0 for a host. A host's port ID is its MAC, a switch's is its interface."""
    if one.capabilities and not one.capabilities & {"bridge", "router"}:
        return 0
    if one.port_kind == "mac" and _HOST_SYSTEM.search(one.system):
        return 0
    if _REPRESENTOR.fullmatch(one.port):
        return 0
    named = one.port_kind != "mac"
    if not one.capabilities and not named:
        return 0
    return 1 + 2 * named + ("bridge" in one.capabilities)


def _heard_itself(found: Sequence[Neighbour]) -> str:
    """The host's own name, if its virtual functions are heard on its ports, or one host is on several of them."""
    hosts = [one for one in found if one.name and not _rate(one) and not _REPRESENTOR.fullmatch(one.port)]
    for one in hosts:
        base = re.split(r"[._:@]", one.port_description)[0]
        if base and base == one.interface:
            return one.name
    on = Counter(name for name, _ in {(one.name, one.interface) for one in hosts})
    several = [name for name, ports in sorted(on.items()) if ports > 1]
    return several[0] if len(several) == 1 else ""


def _same_host(name: str, own: str) -> bool:
    return bool(name) and name.partition(".")[0].lower() == own.partition(".")[0].lower()


def _local(document: Mapping[str, Any]) -> str:
    """The name that ``lldpcli show chassis`` adds."""
    for given in (document, *_listed(document.get("lldp"))):
        local = given.get("local-chassis") if isinstance(given, dict) else None
        for one in _listed(local):
            chassis = one.get("chassis", one) if isinstance(one, dict) else None
            for inner in _listed(chassis):
                name, _ = _named(inner)
                if name:
                    return name
    return ""


def _neighbours(document: Mapping[str, Any]) -> Iterator[Neighbour]:
    count = 0
    for root in _listed(document["lldp"]):
        for interface, body in _interfaces(root.get("interface") if isinstance(root, dict) else None):
            count += 1
            if count > _MOST:
                raise Refused(f"expected at most {_MOST} neighbours of a host")
            if str(body.get("via", "LLDP")).upper() not in ("LLDP", "CDPV1", "CDPV2", "CDP"):
                continue
            yield from _neighbour(interface, body)


def _interfaces(given: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and body, in whatever form: json has the name as a key, json0 as a value."""
    for one in _listed(given):
        if not isinstance(one, dict):
            continue
        if isinstance(one.get("name"), str):
            yield one["name"], one
            continue
        for name, bodies in one.items():
            yield from ((str(name), body) for body in _listed(bodies) if isinstance(body, dict))


def _neighbour(interface: str, body: Mapping[str, Any]) -> Iterator[Neighbour]:
    for chassis in _listed(body.get("chassis")):
        name, about = _named(chassis)
        for port in _listed(body.get("port")) or [{}]:
            kind, value = _id(port)
            chassis_kind, chassis_value = _id(about)
            yield Neighbour(
                interface=interface,
                chassis=f"{chassis_kind} {chassis_value}".strip(),
                name=name,
                system=_value(about.get("descr")),
                capabilities=frozenset(_capabilities(about.get("capability"))),
                port_kind=kind,
                port=value,
                port_description=_value(port.get("descr")) if isinstance(port, dict) else "",
            )


def _named(chassis: Any) -> tuple[str, Mapping[str, Any]]:
    """The system's name, and what is said of it. json has the name as a key if there is one."""
    if not isinstance(chassis, dict):
        return "", {}
    if "id" in chassis or "name" in chassis:
        return _value(chassis.get("name")), chassis
    for name, body in chassis.items():
        if isinstance(body, dict):
            return str(name), body
    return "", {}


def _id(given: Any) -> tuple[str, str]:
    for one in _listed(given.get("id") if isinstance(given, dict) else None):
        if isinstance(one, dict):
            return str(one.get("type", "")).lower(), str(one.get("value", "")).strip()
    return "", ""


def _value(given: Any) -> str:
    """A text, or the ``value`` of one."""
    for one in _listed(given):
        found = one.get("value") if isinstance(one, dict) else one
        if isinstance(found, str | int) and not isinstance(found, bool):
            return str(found).strip()
    return ""


def _capabilities(given: Any) -> Iterator[str]:
    for one in _listed(given):
        if isinstance(one, dict) and one.get("enabled") in (True, "on", "yes", "true"):
            yield str(one.get("type", "")).lower()


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]
