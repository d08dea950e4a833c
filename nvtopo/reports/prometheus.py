"""The report as series, for node_exporter's textfile collector. A verdict that is open gives no sample."""

from typing import Final

from nvtopo.checks.fleet import FleetReport
from nvtopo.findings.finding import SEVERITIES
from nvtopo.sinks.metrics.series import Family, gauge, info, text

READY: Final = gauge(
    "nvtopo_doctor_ready",
    "Whether the node is ready: 1 or 0.",
    ("node",),
    source="the report",
    absent="it can't be known",
)
FINDINGS: Final = gauge(
    "nvtopo_doctor_findings", "How many findings a node has.", ("node", "severity"), source="the report"
)
FINDING: Final = info(
    "nvtopo_doctor_finding_info",
    "A finding.",
    ("node", "id", "severity", "domain", "subject"),
    source="the report",
    absent="nothing is found",
)
UNKNOWN: Final = gauge("nvtopo_doctor_unknown", "How many checks could not know.", ("node",), source="the report")
SERIES: Final = (READY, FINDINGS, FINDING, UNKNOWN)
_CLUSTER: Final = "cluster"


def render(report: FleetReport) -> str:
    """The page in Prometheus text format."""
    ready, counts, found, unknown = map(Family, SERIES)
    for name, one in report.nodes.items():
        ready.add(None if one.verdict == "cannot-know" else int(one.verdict == "ready"), name)
        for severity in SEVERITIES:
            counts.add(sum(finding.severity == severity for finding in one.findings), name, severity)
        unknown.add(len({missing.id for missing in one.unknown}), name)
    findings = [(name, finding) for name, one in report.nodes.items() for finding in one.findings]
    findings += [(_CLUSTER, finding) for finding in report.findings]
    for row in dict.fromkeys((name, one.id, one.severity, one.domain, one.subject) for name, one in findings):
        found.add(1, *row)
    return text((ready, counts, found, unknown))
