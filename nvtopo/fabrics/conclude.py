"""From a fabric as one source sees it to what that says of the nodes: tiers, rails, cables and what does not fit."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.cluster.claims import Cable, Claim, Reading, SwitchPort, Tier
from nvtopo.cluster.findings import NodeFinding
from nvtopo.fabrics import cabling, checks, levels, rails, shared_names, uplinks
from nvtopo.fabrics.fabric import Fabric
from nvtopo.fabrics.grouping import Groups, grouped
from nvtopo.fabrics.levels import Levels
from nvtopo.fabrics.rails import Attachment, Rails, Slot
from nvtopo.model.conclusions.order import natural

_ABOVE: Final[tuple[Tier, ...]] = ("spine", "core")
_MOST_NAMES: Final = 3


class _Hosts(NamedTuple):
    """Who is cabled to what."""

    attachments: tuple[Attachment, ...]
    """Of compute hosts that have a name of their own."""
    on: Mapping[str, frozenset[str]]
    """Switch → compute hosts on it, those without a name included."""


def of(fabric: Fabric) -> Reading:
    """What the fabric says; refused where nothing of it can be used."""
    if not fabric.cables:
        return Reading(refused="expected cables between switches and adapters, found none")
    hosts = _hosts(fabric)
    found = levels.of(fabric, hosts.on)
    attachments = tuple(one for one in hosts.attachments if one.leaf in found.leaves)
    if not attachments:
        return Reading(refused=_nobody(fabric, hosts, found))
    doubles = shared_names.of(fabric, attachments)
    if all(one.node in doubles for one in attachments):
        return Reading(refused=_all_alike(fabric, doubles))
    return _concluded(fabric, found, attachments, doubles)


def _concluded(
    fabric: Fabric, found: Levels, attachments: tuple[Attachment, ...], doubles: Mapping[str, tuple[str, ...]]
) -> Reading:
    sure = tuple(one for one in attachments if one.node not in doubles)
    groups = grouped(_leaves(sure))
    placed = {**groups.members, **shared_names.placed(attachments, doubles, groups.own)}
    spines = {leaf: found.upward(leaf, 0) if found.above else frozenset() for leaf in found.leaves}
    numbered = rails.of(sure, groups.members, groups.own, spines)
    nameless = shared_names.surplus(fabric, groups.own)
    compared = cabling.compared(sure, groups, numbered, fabric.switches, nameless)
    short = list(_short(fabric, found, numbered))
    missing = [*compared.missing, *((one.lower, one.upper) for one in short)]
    findings = [
        *_partial(fabric),
        *_loops(fabric),
        *shared_names.findings(doubles, fabric, placed),
        *shared_names.nameless(fabric),
        *_undecided(groups, sure, fabric),
    ]
    if not fabric.partial:
        findings += [*compared.findings, *(_uplink(one, fabric) for one in short)]
    return Reading(
        claims=tuple(_claims(placed, groups, found, fabric)),
        ports=tuple(_port(one, numbered, {} if fabric.partial else compared.moved, fabric) for one in attachments),
        cables=tuple(_cables(fabric, [] if fabric.partial else missing)),
        findings=tuple(sorted(findings)),
    )


def _hosts(fabric: Fabric) -> _Hosts:
    attachments = []
    on: dict[str, set[str]] = {}
    for one, other in fabric.cables:
        for near, far in ((one, other), (other, one)):
            adapter = fabric.adapters.get(near.key)
            if adapter is None or far.key not in fabric.switches or adapter.role == "other":
                continue
            on.setdefault(far.key, set()).add(adapter.node or near.key)
            if adapter.node:
                attachments.append(Attachment(adapter.node, adapter.nic, near.port, far.key, far.port))
    return _Hosts(
        tuple(sorted(attachments)),
        {switch: frozenset(names) for switch, names in on.items()},
    )


def _leaves(attachments: Iterable[Attachment]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for one in attachments:
        found.setdefault(one.node, set()).add(one.leaf)
    return {node: frozenset(leaves) for node, leaves in found.items()}


def _claims(placed: Mapping[str, str], groups: Groups, found: Levels, fabric: Fabric) -> Iterator[Claim]:
    """A group is called after the first of its switches, by name."""
    members = placed
    names = _group_names(groups.own, fabric)
    for node, group in members.items():
        yield Claim(node, "leaf", names[group], fabric.source)
    below: dict[str, set[str]] = {}
    for leaf, group in groups.own.items():
        below.setdefault(group, set()).add(leaf)
    for tier, level in zip(_ABOVE, range(len(found.above)), strict=False):
        outer = grouped(
            {
                group: frozenset(upper for switch in switches for upper in found.upward(switch, level))
                for group, switches in below.items()
            }
        )
        names = _group_names(outer.switches, fabric)
        members = {node: outer.members[group] for node, group in members.items() if group in outer.members}
        for node, group in members.items():
            yield Claim(node, tier, names[group], fabric.source)
        below = {}
        for switch, group in outer.switches.items():
            below.setdefault(group, set()).add(switch)


def _group_names(switches: Mapping[str, str], fabric: Fabric) -> dict[str, str]:
    first: dict[str, str] = {}
    for switch, group in switches.items():
        name = fabric.switches[switch]
        first[group] = min(first.get(group, name), name, key=natural)
    return first


def _port(one: Attachment, numbered: Rails, moved: Mapping[tuple[str, Slot], str], fabric: Fabric) -> SwitchPort:
    place = numbered.places.get(one.leaf, rails.RailPlane(None, None))
    there = moved.get((one.node, rails.slot(one)))
    return SwitchPort(
        node=one.node,
        rail=place.rail,
        plane=place.plane,
        nic=one.nic,
        leaf=fabric.switches[one.leaf],
        port=one.leaf_port,
        source=fabric.source,
        expected="" if there is None else fabric.switches[there],
    )


def _cables(fabric: Fabric, missing: Iterable[tuple[str, str]]) -> list[Cable]:
    """Between named nodes and switches, several in one place once."""
    names = dict(fabric.switches)
    names |= {key: one.node for key, one in fabric.adapters.items() if one.node and one.role == "compute"}
    there = {
        (min(a, b), max(a, b))
        for one, other in fabric.cables
        if (a := names.get(one.key)) is not None and (b := names.get(other.key)) is not None
    }
    ends = ((names.get(lower, lower), names.get(upper, upper)) for lower, upper in missing)
    absent = {(min(pair), max(pair)) for pair in ends}
    return [Cable(a, b, fabric.source) for a, b in sorted(there)] + [
        Cable(a, b, fabric.source, present=False) for a, b in sorted(absent)
    ]


def _short(fabric: Fabric, found: Levels, numbered: Rails) -> Iterator[uplinks.Short]:
    """Missing cables from leaves to spines, and from spines to cores."""
    lower: frozenset[str] = found.leaves
    for upper in found.above:
        counts: dict[str, Counter[str]] = {switch: Counter() for switch in lower}
        for one, other in fabric.cables:
            for below, above in ((one.key, other.key), (other.key, one.key)):
                if below in counts and above in upper:
                    counts[below][above] += 1
        yield from uplinks.short(counts, numbered.places)
        lower = upper


def _uplink(one: uplinks.Short, fabric: Fabric) -> NodeFinding:
    lower, upper = fabric.switches[one.lower], fabric.switches[one.upper]
    has = f"{one.have} of {one.want} cables" if one.have else "no cable"
    return checks.cabling(
        checks.CABLE_MISSING, (), f"{lower} - {upper}", f"{lower} has {has} to {upper}, which its peers have"
    )


def _loops(fabric: Fabric) -> Iterator[NodeFinding]:
    ports: dict[str, list[str]] = {}
    for end in fabric.loops:
        ports.setdefault(fabric.switches.get(end.key, end.key), []).append(end.port)
    for name, numbers in sorted(ports.items()):
        between = " and ".join(sorted(set(numbers), key=natural))
        yield checks.cabling(checks.CABLE_LOOP, (), name, f"{name} is cabled to itself, at port {between}")


def _undecided(groups: Groups, sure: Iterable[Attachment], fabric: Fabric) -> Iterator[NodeFinding]:
    leaves = _leaves(sure)
    for node in groups.undecided:
        names = ", ".join(sorted((fabric.switches[leaf] for leaf in leaves[node]), key=natural))
        evidence = f"{node} has as many cables to another leaf group as to its own: it is on {names}"
        yield checks.cabling(checks.GROUP_UNDECIDED, (node,), node, evidence)


def _partial(fabric: Fabric) -> Iterator[NodeFinding]:
    if fabric.partial:
        evidence = f"not all of the fabric is there: {fabric.partial}; missing cables are not looked for"
        yield checks.source(checks.PARTIAL, (), fabric.source, evidence)


def _nobody(fabric: Fabric, hosts: _Hosts, found: Levels) -> str:
    nameless = [one for one in fabric.adapters.values() if one.role == "unknown"]
    if not nameless:
        return f"expected compute hosts on the switches, found none: {len(fabric.adapters)} other adapters"
    leaves = len(found.leaves) or len(hosts.on)
    said = min(one.said for one in nameless)
    return (
        f"no host names; {len(nameless)} adapters on {leaves} leaves, described as {said!r};"
        " expected descriptions such as 'gpu00 mlx5_0' (rdma-ndd sets them), or captures of the nodes next to it"
    )


def _all_alike(fabric: Fabric, doubles: Mapping[str, tuple[str, ...]]) -> str:
    names = ", ".join(sorted(doubles, key=natural)[:_MOST_NAMES])
    return (
        f"no host names; {len(fabric.adapters)} adapters share the descriptions of {len(doubles)} ({names});"
        " expected a name for each host (rdma-ndd sets them), or captures of the nodes next to it"
    )
