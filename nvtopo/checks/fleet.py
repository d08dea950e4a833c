"""Many nodes: the verdict on each, and what is found by looking at all of them."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from msgspec.structs import replace

from nvtopo.checks.capacity import DomainCapacity, Room
from nvtopo.checks.check import NotKnown, Outcome
from nvtopo.checks.cluster import Compared
from nvtopo.checks.report import NodeReport, Verdict, worst, worst_first
from nvtopo.findings.finding import Finding
from nvtopo.model.records.record import Record

#: Nodes that were not compared: one alone, or a graph that an aggregator made.
NOT_COMPARED: Final = Compared((), (), {})
#: Nothing was asked about domains.
NO_ROOM: Final = Room(NOT_COMPARED, ())


class FleetReport(Record, frozen=True, kw_only=True, omit_defaults=False):
    """What ``doctor`` says of several nodes."""

    verdict: Verdict
    """The worst of the nodes', and not ready if a finding about several is critical."""
    nodes: dict[str, NodeReport]
    findings: tuple[Finding, ...] = ()
    """About racks, rails and the cluster, worst first."""
    unknown: tuple[NotKnown, ...] = ()
    """What could not be compared, because some nodes do not show it."""
    checks: dict[str, Outcome] = {}
    """Id of each comparison of nodes → how it ended."""
    capacity: tuple[DomainCapacity, ...] = ()
    """What each domain of several nodes can hold while nobody uses it, closest tier first."""
    gone: tuple[str, ...] | None = None
    """Files of the baseline of which no node is here; null without a baseline."""


def of_fleet(
    nodes: Mapping[str, NodeReport],
    findings: Iterable[Finding] = (),
    compared: Compared = NOT_COMPARED,
    room: Room = NO_ROOM,
) -> FleetReport:
    """The report on these nodes, by name."""
    shared = worst_first((*findings, *compared.findings, *room.compared.findings))
    verdicts: list[Verdict] = [report.verdict for report in nodes.values()]
    if any(finding.severity == "critical" for finding in shared):
        verdicts.append("not-ready")
    return FleetReport(
        verdict=worst(verdicts),
        nodes=dict(sorted(nodes.items())),
        findings=shared,
        unknown=(*compared.unknown, *room.compared.unknown),
        checks=compared.checks | room.compared.checks,
        capacity=room.domains,
    )


R = TypeVar("R", NodeReport, FleetReport)


def added(report: R, findings: Iterable[Finding], unknown: Iterable[NotKnown], checks: Mapping[str, Outcome]) -> R:
    """The report with what others than its checks found."""
    return replace(
        report,
        findings=worst_first((*report.findings, *findings)),
        unknown=(*report.unknown, *unknown),
        checks=report.checks | dict(checks),
    )
