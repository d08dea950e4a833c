"""Expected cabling: what should be, against what other sources see. ``docs/topology-files.md`` has the schema."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from nvtopo.cluster.claims import Cable, Reading, SwitchPort
from nvtopo.cluster.findings import NodeFinding
from nvtopo.fabrics import checks, own_file
from nvtopo.fabrics.documents import entries, text
from nvtopo.fabrics.refused import Refused

KIND: Final = "ExpectedCabling"
SOURCE: Final = "expected"
_KEYS: Final = frozenset({"node", "nic", "switch", "port", "to"})


class Expected(NamedTuple):
    """One cable that should be there: of a node's NIC to a switch, or between two switches."""

    node: str
    nic: str
    switch: str
    port: str
    to: str
    """The other switch, where it is no node's."""


def looks_like(item: Any) -> bool:
    """Whether it is such a file."""
    return own_file.is_ours(item, KIND)


def read(document: Mapping[str, Any]) -> list[Expected]:
    """The cables.

    Raises:
        Refused: it does not match the schema.
    """
    found = [_cable(one) for one in entries(document.get("cables"), "cables")]
    if not found:
        raise Refused("expected cables, found none")
    return found


def _cable(one: Mapping[str, Any]) -> Expected:
    unknown = sorted(str(key) for key in one if key not in _KEYS)
    if unknown:
        raise Refused(f"expected the keys {', '.join(sorted(_KEYS))} of a cable, got {unknown[0]!r}")
    if ("node" in one) == ("to" in one):
        raise Refused("expected a node or another switch ('to') for each cable of a switch, got both or neither")
    said = {key: text(one[key], key) for key in one}
    return Expected(
        said.get("node", ""),
        said.get("nic", ""),
        text(one.get("switch"), "switch"),
        said.get("port", ""),
        said.get("to", ""),
    )


def compared(expected: Sequence[Expected], readings: Iterable[Reading]) -> Reading:
    """What is missing, in the wrong place, or not expected, of what the other sources see."""
    observed = [reading for reading in readings if reading.refused is None]
    ports: dict[str, list[SwitchPort]] = {}
    for reading in observed:
        for port in reading.ports:
            ports.setdefault(port.node, []).append(port)
    pairs = {(cable.a, cable.b) for reading in observed for cable in reading.cables if cable.present}
    if not ports and not pairs:
        evidence = f"{len(expected)} cables are expected, and no other source sees any: nothing to compare"
        return Reading(findings=(checks.source(checks.NOTHING_OBSERVED, (), SOURCE, evidence),))
    missing: list[tuple[str, str]] = []
    findings: list[NodeFinding] = []
    for one in expected:
        if one.to:
            pair = (min(one.switch, one.to), max(one.switch, one.to))
            if pair not in pairs:
                missing.append(pair)
                words = f"{pair[0]} has no cable to {pair[1]}, which is expected"
                findings.append(checks.cabling(checks.CABLE_MISSING, (), f"{pair[0]} - {pair[1]}", words))
            continue
        found = list(_of_node(one, ports.get(one.node, ())))
        findings += found
        if found and all(port.leaf != one.switch for port in _same_nic(one, ports.get(one.node, ()))):
            missing.append((min(one.node, one.switch), max(one.node, one.switch)))
    findings += _extra(expected, ports)
    cables = tuple(Cable(a, b, SOURCE, present=False) for a, b in sorted(set(missing)))
    return Reading(cables=cables, findings=tuple(sorted(findings)))


def _same_nic(one: Expected, ports: Iterable[SwitchPort]) -> list[SwitchPort]:
    return [port for port in ports if not one.nic or port.nic == one.nic]


def _of_node(one: Expected, ports: Iterable[SwitchPort]) -> Iterator[NodeFinding]:
    there = _same_nic(one, ports)
    right = [port for port in there if port.leaf == one.switch and one.port in ("", port.port)]
    if right:
        return
    subject = f"{one.node} {one.nic}".strip()
    wanted = f"{one.switch} {one.port}".strip()
    elsewhere = [port for port in there if one.nic or port.leaf == one.switch]
    if not elsewhere:
        words = f"{subject} has no cable to {wanted}, which is expected"
        yield checks.cabling(checks.CABLE_MISSING, (one.node,), f"{subject} - {one.switch}", words)
        return
    here = ", ".join(sorted(f"{port.leaf} {port.port}".strip() for port in elsewhere))
    words = f"{subject} is on {here}, expected on {wanted}"
    yield checks.cabling(checks.CABLE_MISPLACED, (one.node,), subject, words)


def _extra(expected: Sequence[Expected], ports: Mapping[str, Sequence[SwitchPort]]) -> Iterator[NodeFinding]:
    """Cables of nodes that the file knows, from NICs, or to switches, of which it says nothing."""
    nics: dict[str, set[str]] = {}
    switches: dict[str, set[str]] = {}
    for one in expected:
        if one.node:
            nics.setdefault(one.node, set()).add(one.nic)
            switches.setdefault(one.node, set()).add(one.switch)
    for node in sorted(nics):
        for port in ports.get(node, ()):
            if port.nic not in nics[node] and ("" not in nics[node] or port.leaf not in switches[node]):
                words = f"{node} {port.nic} is on {port.leaf} {port.port}".rstrip() + ", where no cable is expected"
                yield checks.cabling(checks.CABLE_EXTRA, (node,), f"{node} {port.nic}", words)
