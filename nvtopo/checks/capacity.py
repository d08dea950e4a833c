"""How large a gang each domain can hold while nobody uses it, against what its nodes promise together.

A node counts as placement counts it. One that is not heard from, or whose GPUs can't be read, is neither room nor lost
room. Domains of one node, and those that hold the same nodes as a closer one, are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from nvtopo.checks.check import NotKnown, Outcome
from nvtopo.checks.cluster import Compared
from nvtopo.cluster.claims import NVLINK_DOMAIN, RACK
from nvtopo.findings.finding import Check, Finding, Severity
from nvtopo.model.formats.listing import listed
from nvtopo.model.records.record import Record

CHECK: Final = Check(
    "domain-capacity",
    "warning",
    "scheduler",
    "room for one gang on all GPUs of the domain",
    "Mend or uncordon the named nodes; until then ask for no gang larger than the largest that fits.",
)
READS: Final = "the graph: tiers and health of the nodes; status and spec.unschedulable of Nodes (--nodes)"
UNKNOWN_WHEN: Final = "a node of it is not heard from or not readable, or no node is known in some of its trays"
_REMEDY: Final = "Look at the agents of these nodes, or give captures of all nodes of the domain."
#: The tiers that are judged, in words.
TIERS: Final[Mapping[str, str]] = {NVLINK_DOMAIN: "NVLink domain", RACK: "rack", "leaf": "leaf"}
_MOST_NAMED: Final = 6
#: Why a node takes no new pods though nothing is wrong with it.
CORDONED: Final = "cordoned"
#: Of trays between others.
_NO_NODE: Final = "no node is known there"


class Seat(NamedTuple):
    """One node, as its domains count it."""

    gpus: int | None
    """GPUs of the machine, those that do not answer included; None if that is not known."""
    usable: int = 0
    """GPUs that a gang may have."""
    why: str | None = None
    """Why it is not all of them; None if it is."""
    is_known: bool = True
    """Whether it is known how many are usable."""


class DomainNodes(NamedTuple):
    """One domain."""

    tier: str
    id: str
    nodes: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Why nodes may be missing in it → what they may be, in words."""


class DomainCapacity(Record, frozen=True, kw_only=True, omit_defaults=False):
    """How much of one domain a gang may have."""

    tier: str
    domain: str
    nodes: int
    """Nodes with GPUs that are known to be in it."""
    whole_nodes: int
    """Of these, how many can be given to a gang with all of their GPUs."""
    gpus: int | None
    """Of all its nodes, those included that do not answer; null if that is not known of one."""
    usable_gpus: int
    """The largest gang that is known to fit, with one GPU a pod."""
    nvlink_domains: int
    """NVLink domains in it; 0 if it is one itself, or none is known."""
    whole_nvlink_domains: int
    left_out: dict[str, tuple[str, ...]]
    """Reason → nodes that do not count, or not whole."""
    unknown: dict[str, tuple[str, ...]]
    """Reason → nodes, and trays, of which it is not known whether they count."""

    @property
    def is_whole(self) -> bool:
        """Whether a gang on all of its GPUs fits, as far as is known."""
        return not self.left_out and not self.unknown


class Room(NamedTuple):
    """What all domains hold."""

    compared: Compared
    domains: tuple[DomainCapacity, ...]


def seat(gpus: int | None, usable: int) -> Seat:
    """Of a node whose GPUs are known."""
    lost = (gpus or 0) - usable
    return Seat(gpus, usable, f"{lost} of {gpus} GPUs may not be used" if lost else None)


def missing(gaps: Iterable[tuple[int, int, str]]) -> dict[str, tuple[str, ...]]:
    """Compute trays from which no node is known (first, last, chassis), as ``DomainNodes`` names them."""
    trays = tuple(
        f"{f'tray {first}' if first == last else f'trays {first} to {last}'} of chassis {chassis}"
        for first, last, chassis in gaps
    )
    return {_NO_NODE: trays} if trays else {}


def of(places: Iterable[DomainNodes], seats: Mapping[str, Seat]) -> Room:
    """What each domain holds. ``places`` are in the order of tiers, closest first.

    A node without a seat has no GPUs to give, and is not counted.
    """
    domains = tuple(_domains(places, seats))
    findings = tuple(_finding(one) for one in domains if one.left_out and one.nodes > 1)
    unknown = tuple(_not_known(one) for one in domains if one.unknown)
    outcome: Outcome = "failed" if findings else "unknown" if unknown else "passed" if domains else "not-applicable"
    return Room(Compared(findings, unknown, {CHECK.id: outcome}), domains)


def _domains(places: Iterable[DomainNodes], seats: Mapping[str, Seat]) -> Iterator[DomainCapacity]:
    closer: set[frozenset[str]] = set()
    islands: list[tuple[frozenset[str], bool]] = []
    for place in places:
        inside = {name: seats[name] for name in place.nodes if name in seats}
        names = frozenset(inside)
        if place.tier not in TIERS or names in closer or not _is_shared(place, names):
            continue
        closer.add(names)
        found = _domain(place, inside, [whole for island, whole in islands if island <= names])
        if place.tier == NVLINK_DOMAIN:
            islands.append((names, found.is_whole))
        yield found


def _is_shared(place: DomainNodes, names: frozenset[str]) -> bool:
    return len(names) > 1 or (len(names) == 1 and bool(place.missing))


def _domain(place: DomainNodes, inside: Mapping[str, Seat], islands: list[bool]) -> DomainCapacity:
    gpus = [seat.gpus for seat in inside.values()]
    known = None if None in gpus else sum(count for count in gpus if count is not None)
    return DomainCapacity(
        tier=place.tier,
        domain=place.id,
        nodes=len(inside),
        whole_nodes=sum(seat.why is None for seat in inside.values()),
        gpus=known,
        usable_gpus=sum(seat.usable for seat in inside.values()),
        nvlink_domains=len(islands),
        whole_nvlink_domains=sum(islands),
        left_out=_reasons(inside, lambda seat: seat.is_known),
        unknown={**_reasons(inside, lambda seat: not seat.is_known), **place.missing},
    )


def _reasons(inside: Mapping[str, Seat], counts: Callable[[Seat], bool]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for name, seat in inside.items():
        if seat.why is not None and counts(seat):
            found.setdefault(seat.why, []).append(name)
    return {why: tuple(names) for why, names in sorted(found.items())}


def _finding(one: DomainCapacity) -> Finding:
    return CHECK.finding(_subject(one), f"{_said(one)}; not counted: {_words(one.left_out)}", _severity(one))


def _severity(one: DomainCapacity) -> Severity:
    """Of no warning: what somebody took out on purpose, and a network that still carries gangs of other sizes."""
    return "info" if one.tier != NVLINK_DOMAIN or set(one.left_out) == {CORDONED} else "warning"


def _said(one: DomainCapacity) -> str:
    of_all = "" if one.gpus is None else f" of {one.gpus}"
    islands = f", {one.whole_nvlink_domains} of {one.nvlink_domains} NVLink domains" if one.nvlink_domains > 1 else ""
    fits = "is known to fit" if one.unknown else "fits"
    larger = f"no gang larger than {one.usable_gpus}{of_all} GPUs" if one.usable_gpus else f"no gang{of_all} GPUs"
    return f"{larger} {fits}: {one.whole_nodes} of {one.nodes} nodes{islands} may be used whole"


def _not_known(one: DomainCapacity) -> NotKnown:
    return NotKnown(
        id=CHECK.id,
        domain=CHECK.domain,
        subject=_subject(one),
        reason=f"a gang of {one.usable_gpus} fits; whether a larger one does is not known: {_words(one.unknown)}",
        remedy=_REMEDY,
    )


def _subject(one: DomainCapacity) -> str:
    return f"{TIERS[one.tier]} {one.domain}"


def _words(reasons: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(f"{listed(names, _MOST_NAMED)} ({why})" for why, names in reasons.items())
