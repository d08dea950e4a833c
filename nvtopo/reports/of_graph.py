"""The report on a cluster from an aggregator's graph: it has each node's health and findings, and no facts to judge."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks import capacity
from nvtopo.checks.capacity import DomainNodes, Room, Seat
from nvtopo.checks.check import NODE, NotKnown
from nvtopo.checks.fleet import FleetReport, of_fleet
from nvtopo.checks.report import NodeReport, worst_first
from nvtopo.exporters.document import DomainEntry, FindingEntry, GraphDocument, NodeEntry
from nvtopo.findings.finding import Finding
from nvtopo.model.conclusions import unread
from nvtopo.model.conclusions.health_kinds import ILL, USABLE

_OPEN: Final = ("unknown", "registering", "stale")
#: A GPU that answers is called ``GPU0``. One that a guest has is called by its address, and stands in nobody's way.
_ANSWERS: Final = "GPU"
_REMEDY: Final = "Run doctor on the node, or look at its agent."


def of_document(document: GraphDocument) -> FleetReport:
    """The report. A node whose health leaves anything open can't be known to be ready."""
    reports = {name: _node(entry) for name, entry in document.nodes.items()}
    shared = [_finding(one) for one in document.drift if one.severity is not None and len(one.nodes) != 1]
    return of_fleet(reports, shared, room=_room(document))


def _room(document: GraphDocument) -> Room:
    seats = {name: seat for name, entry in document.nodes.items() if (seat := _seat(entry)) is not None}
    return capacity.of((_place(name, entry) for name, entry in document.domains.items()), seats)


def _seat(entry: NodeEntry) -> Seat | None:
    """None if it has no GPU."""
    if entry.gpus is None:
        return Seat(None, why="it has no readable NodeTopology", is_known=False)
    if not entry.health:
        return None
    there = {name: level for name, level in entry.health.items() if name.startswith(_ANSWERS)}
    lost = sum(level in ILL for name, level in entry.health.items() if name not in there)
    gpus = entry.gpus + lost
    if entry.stale:
        return Seat(gpus, why="stale", is_known=False)
    bad = next((one.id for one in entry.problems if one.severity == "critical"), None)
    if bad is not None:
        return Seat(gpus, why=f"not ready: {bad}")
    if any(level in _OPEN for level in there.values()):
        return Seat(gpus, why="its health is not known", is_known=False)
    usable = sum(level in USABLE and name not in entry.disputed for name, level in there.items())
    return capacity.seat(gpus, usable)


def _place(name: str, entry: DomainEntry) -> DomainNodes:
    missing = capacity.missing((one.first, one.last, one.chassis) for one in entry.silent)
    return DomainNodes(entry.tier, name, entry.nodes, missing)


def _node(entry: NodeEntry) -> NodeReport:
    found = worst_first(_finding(problem) for problem in entry.problems if problem.severity is not None)
    unknown = tuple(_unknown(entry))
    if any(finding.severity == "critical" for finding in found) and not entry.stale:
        return NodeReport(verdict="not-ready", findings=found, unknown=unknown)
    return NodeReport(verdict="cannot-know" if unknown else "ready", findings=found, unknown=unknown)


def _unknown(entry: NodeEntry) -> Iterator[NotKnown]:
    if entry.stale:
        when = f" since {entry.last_heard}" if entry.last_heard else ""
        yield _open("node-stale", NODE, f"its agent is not heard{when}: all else is as it was then")
    elif entry.gpus is None:
        yield _open("node-unreadable", NODE, "the graph has nothing that the node says itself")
    elif not entry.gpus and not entry.health:
        yield _open("no-gpu", NODE, "no GPU answers or is missing")
    for name, level in entry.health.items():
        if level in _OPEN and name.startswith(_ANSWERS) and not entry.stale:
            yield _open(f"gpu-{level}", name, f"its health is {level}")
    for problem in entry.problems:
        if unread.hides_a_device(problem.source, problem.subject) or (
            problem.source in unread.OF_DEVICES and problem.reason.startswith(unread.HANGS)
        ):
            yield _open("facts-unread", problem.subject, problem.reason)


def _open(name: str, subject: str, reason: str) -> NotKnown:
    return NotKnown(id=name, domain="runtime", subject=subject, reason=reason, remedy=_REMEDY, decisive=True)


def _finding(entry: FindingEntry) -> Finding:
    """What the graph says of a finding; its subject is in the evidence, if the entry has another for old readers."""
    return Finding(
        id=entry.id,
        severity=entry.severity or "info",
        domain=entry.domain or "host",
        subject=getattr(entry, "subject", "") or NODE,
        evidence=entry.evidence,
        expected=entry.expected,
        remedy=entry.remedy,
    )
