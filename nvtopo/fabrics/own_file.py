"""The operator's own file: domains of tiers, and the GUIDs of nodes. ``docs/topology-files.md`` has the schema."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from nvtopo.cluster.claims import TIERS, Claim, Reading, Tier
from nvtopo.fabrics.documents import mapping, text
from nvtopo.fabrics.hostlist import Expander
from nvtopo.fabrics.refused import Refused

KIND: Final = "ClusterTopology"
_KEYS: Final = frozenset({"apiVersion", "kind", "metadata", "wins", "tiers", "nodes", "guids"})
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
    """What it says of tiers. Where it says ``wins: true`` it decides against all others.

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
    if not claims and not guids(document):
        raise Refused("expected tiers, nodes or guids, found none")
    said: dict[tuple[str, Tier], str] = {}
    for claim in claims:
        if said.setdefault((claim.node, claim.tier), claim.id) != claim.id:
            both = f"{said[claim.node, claim.tier]} and {claim.id}"
            raise Refused(f"expected one {claim.tier} for each node, {claim.node} is in {both}")
    return Reading(claims=tuple(dict.fromkeys(claims)))


def _claims(document: Mapping[str, Any], source: str) -> Iterator[Claim]:
    expand = Expander()
    for name, domains in mapping(document.get("tiers") or {}, "tiers").items():
        tier = _tier(name)
        for domain, members in mapping(domains or {}, f"tiers.{name}").items():
            listed = members if isinstance(members, list) else [members]
            for one in listed:
                for node in expand(text(one, f"the nodes of {name} {domain}")):
                    yield Claim(node, tier, str(domain), source)
    for node, tiers in mapping(document.get("nodes") or {}, "nodes").items():
        for name, domain in mapping(tiers or {}, f"nodes.{node}").items():
            yield Claim(str(node), _tier(name), text(domain, f"{name} of {node}"), source)


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
