"""Domains: the nodes that share a tier, in physical order, with a short name and the missing trays.

What one member says moves no other: a chassis that a single member names, while others agree on another, and a tray
far from all others count for nothing and are findings about that member.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.cluster.claims import NVLINK_DOMAIN, RACK, TIERS, Tier
from nvtopo.cluster.findings import NodeFinding, found
from nvtopo.cluster.position import Position

#: The tiers whose nodes are in a few chassis.
_IN_CHASSIS: Final = (NVLINK_DOMAIN, RACK)
#: The most GPUs that NVLink joins, by product.
_RACK_GPUS: Final[Mapping[str, int]] = MappingProxyType({"GB200": 72, "GB300": 72})
#: Of any product.
_MOST_GPUS: Final = 576
_DIGITS: Final = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class MissingTrays:
    """Compute trays between known trays of a chassis from which no node is known."""

    chassis: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of one tier; ``nodes`` in physical order."""

    id: str
    tier: Tier
    parent: str | None
    """The domain of the closest outer tier that holds its nodes: most of them know that tier, and agree about it."""
    nodes: tuple[str, ...]
    name: str
    """Short and stable, in physical order (``rackname``); unique within its tier."""
    chassis: tuple[str, ...] = ()
    """Serial numbers of the chassis its nodes sit in: two for a domain over two racks."""
    silent: tuple[MissingTrays, ...] = ()


class Member(NamedTuple):
    """A node as its domains see it."""

    name: str
    position: Position
    tiers: Mapping[Tier, str]
    gpus: int
    product: str
    since: str | None = None
    """When the node was first seen to claim its NVLink domain."""

    def order(self) -> tuple[tuple[bool, str, int, int, int], str, str]:
        """Physical order, then by name, numbers in it as numbers: total, and the same whatever came first."""
        return self.position.order(), natural(self.name), self.name


def natural(text: str) -> str:
    """Sorts as people count: ``node-9`` before ``node-10``."""
    return _DIGITS.sub(lambda run: f"{run.group():0>12}", text)


def chassis_of(tier: Tier, members: Sequence[Member]) -> tuple[str, ...]:
    """The serial numbers that count, in order: those of several members, or all if there is none such."""
    if tier not in _IN_CHASSIS:
        return ()
    times = Counter(member.position.chassis for member in members if member.position.chassis is not None)
    several = [serial for serial, count in times.items() if count > 1]
    return tuple(sorted(several or times))


def of(
    key: tuple[Tier, str], members: Sequence[Member], name: str, silences: Mapping[str, tuple[MissingTrays, ...]]
) -> Domain:
    """The domain of these members; ``silences``: the gaps of each chassis."""
    tier, identifier = key
    chassis = chassis_of(tier, members)
    return Domain(
        id=identifier,
        tier=tier,
        parent=_parent(tier, members),
        nodes=tuple(member.name for member in sorted(members, key=Member.order)),
        name=name,
        chassis=chassis,
        silent=tuple(silence for serial in chassis for silence in silences.get(serial, ())),
    )


def suspicions(key: tuple[Tier, str], members: Sequence[Member]) -> Iterator[NodeFinding]:
    """What does not fit in an NVLink domain: members in a chassis of their own, and more than there can be."""
    tier, identifier = key
    if tier != NVLINK_DOMAIN:
        return
    counted = chassis_of(tier, members)
    for member in members:
        serial = member.position.chassis
        if serial is not None and serial not in counted:
            said = f"{member.name} is in NVLink domain {identifier} with chassis {serial}, the others with"
            yield found("alone", (member.name,), f"{said} {', '.join(counted)}", subject=identifier)
    late = _late(members)
    if late:
        total, most = sum(member.gpus for member in members), _most(members)
        said = f"NVLink domain {identifier} has {total} GPUs, at most {most} can be: {', '.join(late)} came last"
        yield found("crowded", late, said, subject=identifier)


class Trays(NamedTuple):
    """The trays of one chassis."""

    gaps: tuple[MissingTrays, ...]
    far: tuple[NodeFinding, ...]
    """Nodes at trays that are far from all others."""


def trays(chassis: str, members: Sequence[Member]) -> Trays:
    """The gaps between known trays. Trays before the first and after the last are unknown.

    A tray that one node alone claims counts only if the gap before or after it is small: at most half as many trays as
    the others have.
    """
    at: dict[int, list[str]] = {}
    for member in members:
        if member.position.tray is not None:
            at.setdefault(member.position.tray, []).append(member.name)
    numbers, far = sorted(at), []
    for end in (-1, 0):
        if len(numbers) > 1 and len(at[numbers[end]]) == 1:
            lone, near = numbers[end], numbers[-2 if end else 1]
            others = len(numbers) - 1
            if abs(lone - near) - 1 > max(1, others // 2):
                numbers.pop(end)
                if others > 1:
                    said = f"{at[lone][0]} claims tray {lone} of chassis {chassis}, the others are at {_range(numbers)}"
                    far.append(found("alone", (at[lone][0],), said, subject=f"chassis {chassis}"))
    gaps = (MissingTrays(chassis, here + 1, there - 1) for here, there in pairwise(numbers) if there - here > 1)
    return Trays(tuple(gaps), tuple(far))


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def rack_gpus(names: Iterable[str]) -> int | None:
    """The most GPUs that NVLink joins of the product that most of them have; None if that product does not say."""
    products = Counter(names)
    product = min(products, key=lambda name: (-products[name], name), default="")
    return next((most for word, most in _RACK_GPUS.items() if word in product), None)


def _most(members: Sequence[Member]) -> int:
    return rack_gpus(member.product for member in members) or _MOST_GPUS


def _late(members: Sequence[Member]) -> tuple[str, ...]:
    """Those that came last, if there are more GPUs than can be; with them all that came at the same time."""
    room = _most(members) if members else 0
    ordered = sorted(members, key=lambda member: (member.since is None, member.since or "", member.name))
    for number, member in enumerate(ordered):
        room -= member.gpus
        if room < 0:
            same = [one.name for one in ordered[:number] if one.since == member.since]
            return tuple(sorted([*same, *(one.name for one in ordered[number:])]))
    return ()


def _parent(tier: Tier, members: Sequence[Member]) -> str | None:
    for outer in TIERS[TIERS.index(tier) + 1 :]:
        known = Counter(member.tiers[outer] for member in members if outer in member.tiers)
        if 2 * known.total() > len(members) and (domain := agreed(known)) is not None:
            return domain
    return None


def agreed(known: Counter[str]) -> str | None:
    """What the members of a domain say of an outer tier; one of at least three, or one of ten, may differ."""
    if not known:
        return None
    total = known.total()
    domain = min(known, key=lambda one: (-known[one], one))
    apart = total - known[domain]
    fine = apart == 0 or (total > 2 and apart <= max(1, total // 10))  # noqa: PLR2004 - one of three is alone
    return domain if fine else None
