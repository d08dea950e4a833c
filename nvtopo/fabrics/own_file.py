"""The operator's own file: domains of tiers, zones, GUIDs of nodes. ``docs/topology-files.md`` has the schema."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from nvtopo.cluster.claims import TIERS, Claim, Reading, Tier, ZoneClaim
from nvtopo.fabrics.documents import mapping, text
from nvtopo.fabrics.hostlist import Expander
from nvtopo.fabrics.refused import Refused

KIND: Final = "ClusterTopology"
_KEYS: Final = frozenset({"apiVersion", "kind", "metadata", "wins", "tiers", "nodes", "zones", "guids"})
_KIND: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_]{0,38}[A-Za-z0-9])?\Z")
_MOST_KINDS: Final = 16
_GUID_DIGITS: Final = 16


def looks_like(item: Any) -> bool:
    """Whether it is such a file."""
    return is_ours(item, KIND)


def is_ours(item: Any, kind: str) -> bool:
    """Whether it is a document of ours of this kind."""
    return (
        isinstance(item, dict) and item.get("kind") == kind and str(item.get("apiVersion", "")).startswith("nvtopo.io/")
    )


def read(document: Mapping[str, Any]) -> Reading:
    """What it says of tiers and zones. Where it says ``wins: true`` it decides against all others.

    Raises:
        Refused: it does not match the schema.
    """
    unknown = sorted(str(key) for key in document if key not in _KEYS)
    if unknown:
        raise Refused(f"expected the keys {', '.join(sorted(_KEYS))}, got {unknown[0]!r}")
    wins = document.get("wins", False)
    if not isinstance(wins, bool):
        raise Refused(f"expected true or false as wins, got {wins!r:.60}")
    claims = tuple(_claims(document, "file/wins" if wins else "file"))
    zones = tuple(_zones(document))
    if not claims and not zones and not guids(document):
        raise Refused("expected tiers, nodes, zones or guids, found none")
    _one_each((claim.node, claim.tier, claim.id) for claim in claims)
    _one_each((claim.node, f"{claim.kind} zone", claim.zone) for claim in zones)
    return Reading(claims=tuple(dict.fromkeys(claims)), zones=tuple(dict.fromkeys(zones)))


def _one_each(claims: Iterable[tuple[str, str, str]]) -> None:
    said: dict[tuple[str, str], str] = {}
    for node, what, name in claims:
        known = said.setdefault((node, what), name)
        if known != name:
            raise Refused(f"expected one {what} for each node, {node} is in {known} and {name}")


def _claims(document: Mapping[str, Any], source: str) -> Iterator[Claim]:
    expand = Expander()
    for name, domains in mapping(document.get("tiers") or {}, "tiers").items():
        tier = _tier(name)
        for domain, node in _members(expand, domains, "tiers", name):
            yield Claim(node, tier, domain, source)
    for node, tiers in mapping(document.get("nodes") or {}, "nodes").items():
        for name, domain in mapping(tiers or {}, f"nodes.{node}").items():
            yield Claim(str(node), _tier(name), text(domain, f"{name} of {node}"), source)


def _zones(document: Mapping[str, Any]) -> Iterator[ZoneClaim]:
    expand = Expander()
    kinds = mapping(document.get("zones") or {}, "zones")
    if len(kinds) > _MOST_KINDS:
        raise Refused(f"expected at most {_MOST_KINDS} kinds of zones, got {len(kinds)}")
    for kind, zones in kinds.items():
        if not isinstance(kind, str) or not _KIND.match(kind) or kind in TIERS:
            raise Refused(f"expected a kind of zones such as power or cooling, and no tier, got {kind!r:.60}")
        for zone, node in _members(expand, zones, "zones", kind):
            yield ZoneClaim(node, kind, zone)


def _members(expand: Expander, given: Any, key: str, name: str) -> Iterator[tuple[str, str]]:
    """Each domain or zone with each of its nodes."""
    for domain, members in mapping(given or {}, f"{key}.{name}").items():
        for one in members if isinstance(members, list) else [members]:
            for node in expand(text(one, f"the nodes of {name} {domain}")):
                yield str(domain), node


def _tier(name: Any) -> Tier:
    if name not in TIERS:
        raise Refused(f"expected a tier ({', '.join(TIERS)}), got {name!r:.60}")
    return cast("Tier", name)


def guids(document: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """GUID, 16 digits → node and NIC, of ``guids: {node: [guid, …]}`` or ``guids: {node: {nic: guid}}``.

    Raises:
        Refused: it is something else.
    """
    found: dict[str, tuple[str, str]] = {}
    for node, given in mapping(document.get("guids") or {}, "guids").items():
        for nic, guid in _of_node(given, str(node)):
            digits = guid.lower().removeprefix("0x").replace(":", "")
            if not digits or len(digits) > _GUID_DIGITS or any(letter not in "0123456789abcdef" for letter in digits):
                raise Refused(f"expected a GUID of 16 digits for {node}, got {guid!r:.60}")
            found[digits.rjust(_GUID_DIGITS, "0")] = (str(node), nic)
    return found


def _of_node(given: Any, node: str) -> Iterator[tuple[str, str]]:
    if isinstance(given, dict):
        return ((str(nic), text(guid, f"a GUID of {node}")) for nic, guid in given.items())
    listed: Sequence[Any] = given if isinstance(given, list) else [given]
    return (("", text(guid, f"a GUID of {node}")) for guid in listed)
