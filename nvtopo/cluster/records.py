"""What the API server keeps of a node beside its statement: since when it claims what, and its domains' identifiers.

The aggregator writes it into the node's ``status``; a node can't. So it decides who is right when two nodes claim one
GPU or place, and it outlives every restart and relist.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from msgspec import Meta

from nvtopo.cluster.claims import TIERS, Tier
from nvtopo.model.formats import limits
from nvtopo.model.records.record import Count, Name, Record

#: A kind of claim and what is claimed: ``("gpu", UUID)``, ``("place", …)``, ``("domain", ID)``.
Key = tuple[str, str]

#: GPUs, places and domains that a node claims no more are remembered, the newest of them: a GPU that falls off the bus
#: and comes back is still its own.
_MOST_LEFT: Final = 16
_MOST_CLAIMED: Final = limits.MOST_GPUS + _MOST_LEFT
#: Each moment has at least one claim: GPUs, a place, a domain, and what is left of them.
_MOST_MOMENTS: Final = _MOST_CLAIMED + 2
_TIER_ORDER: Final[Mapping[str, int]] = {tier: number for number, tier in enumerate(TIERS)}


class ClaimRecord(Record, frozen=True, kw_only=True):
    """What the node began to claim at one moment."""

    first_seen: Name
    """RFC 3339, when the aggregator first saw the claim."""
    gpus: Annotated[tuple[Name, ...], Meta(max_length=_MOST_CLAIMED)] = ()
    """UUIDs."""
    places: Annotated[tuple[Name, ...], Meta(max_length=_MOST_CLAIMED)] = ()
    """Places in a rack."""
    domains: Annotated[tuple[Name, ...], Meta(max_length=_MOST_CLAIMED)] = ()
    """NVLink domains."""


class IdentifierRecord(Record, frozen=True, kw_only=True):
    """The number of a domain that the node is in, or was in last."""

    tier: Tier
    """``nvlinkDomain``, ``rack``, ``leaf``, ``spine``, ``core`` or ``zone``."""
    id: Name
    """The domain's ID."""
    number: Count
    """Numbers of a tier are in physical order, as far as that is possible without changing one."""


Claims = Annotated[tuple[ClaimRecord, ...], Meta(max_length=_MOST_MOMENTS)]
Identifiers = Annotated[tuple[IdentifierRecord, ...], Meta(max_length=len(TIERS))]


class NodeRecord(Record, frozen=True, kw_only=True):
    """What is recorded of one node."""

    claims: Claims = ()
    """Oldest first."""
    identifiers: Identifiers = ()
    """One for each tier, closest first."""


EMPTY: Final = NodeRecord()


def times(record: NodeRecord) -> dict[Key, str]:
    """Claim → when it was first seen."""
    found: dict[Key, str] = {}
    for one in record.claims:
        kinds = (("gpu", one.gpus), ("place", one.places), ("domain", one.domains))
        for key in ((kind, value) for kind, values in kinds for value in values):
            found[key] = min(one.first_seen, found.get(key, one.first_seen))
    return found


def since(record: NodeRecord | None, key: Key) -> str | None:
    """When the claim was first seen; None if it is not recorded."""
    return None if record is None else times(record).get(key)


def stamped(record: NodeRecord, keys: Iterable[Key], now: str) -> NodeRecord:
    """The record with all that the node claims now; the same object if it has all of it."""
    known, claimed = times(record), set(keys)
    left = sorted((key for key in known if key not in claimed), key=lambda key: (known[key], key))
    if claimed <= known.keys() and len(left) <= _MOST_LEFT:
        return record
    kept = {key: known.get(key, now) for key in claimed} | {key: known[key] for key in left[-_MOST_LEFT:]}
    return NodeRecord(claims=_claims(kept), identifiers=record.identifiers)


def joined(ours: NodeRecord | None, theirs: NodeRecord | None) -> NodeRecord | None:
    """What this process recorded and what the API server has: the earlier time, and the server's number of a domain."""
    if ours is None or theirs is None or ours == theirs:
        return ours if theirs is None else theirs
    one, other = times(ours), times(theirs)
    claims = {key: min(one.get(key, other.get(key, "")), other.get(key, one.get(key, ""))) for key in {*one, *other}}
    numbers = {entry.tier: entry for entry in theirs.identifiers}
    for entry in ours.identifiers:
        if entry.tier not in numbers or numbers[entry.tier].id != entry.id:
            numbers[entry.tier] = entry
    return NodeRecord(claims=_claims(claims), identifiers=ordered(numbers.values()))


def ordered(entries: Iterable[IdentifierRecord]) -> tuple[IdentifierRecord, ...]:
    """Closest tier first."""
    return tuple(sorted(entries, key=lambda entry: (_TIER_ORDER[entry.tier], entry.id)))


def _claims(found: Mapping[Key, str]) -> tuple[ClaimRecord, ...]:
    by_time: dict[str, dict[str, list[str]]] = {}
    for (kind, value), moment in found.items():
        by_time.setdefault(moment, {}).setdefault(kind, []).append(value)
    return tuple(
        ClaimRecord(
            first_seen=moment,
            gpus=tuple(sorted(kinds.get("gpu", ()))),
            places=tuple(sorted(kinds.get("place", ()))),
            domains=tuple(sorted(kinds.get("domain", ()))),
        )
        for moment, kinds in sorted(by_time.items())
    )
