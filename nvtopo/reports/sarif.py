"""The report as SARIF 2.1.0, which log viewers read: a rule for each check that found something, and results."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from nvtopo import __version__
from nvtopo.checks.fleet import FleetReport
from nvtopo.findings.finding import Finding, Severity

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final[dict[Severity, str]] = {"critical": "error", "warning": "warning", "info": "note"}
_CLUSTER: Final = "cluster"


def render(report: FleetReport) -> bytes:
    """The SARIF file."""
    found = list(_findings(report))
    rules = list(dict.fromkeys(finding.id for _, finding in found))
    driver = {"name": "nvtopo doctor", "version": __version__, "rules": [_rule(one, found) for one in rules]}
    run = {
        "tool": {"driver": driver},
        "results": [_result(node, finding, rules.index(finding.id)) for node, finding in found],
        "properties": {"verdict": report.verdict, "nodes": {name: one.verdict for name, one in report.nodes.items()}},
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _findings(report: FleetReport) -> Iterator[tuple[str, Finding]]:
    for finding in report.findings:
        yield _CLUSTER, finding
    for name, one in report.nodes.items():
        for finding in one.findings:
            yield name, finding


def _rule(name: str, found: list[tuple[str, Finding]]) -> dict[str, Any]:
    first = next(finding for _, finding in found if finding.id == name)
    return {
        "id": name,
        "shortDescription": {"text": f"Expected: {first.expected}"},
        "help": {"text": first.remedy},
        "defaultConfiguration": {"level": _LEVELS[first.severity]},
        "properties": {"tags": [first.domain]},
    }


def _result(node: str, finding: Finding, rule: int) -> dict[str, Any]:
    return {
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{node}: {finding.subject}: {finding.evidence}. Expected: {finding.expected}."},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": f"{node}/{finding.subject}", "kind": "resource"}]}],
        "partialFingerprints": {"subject/v1": f"{node}/{finding.id}/{finding.subject}"},
    }
