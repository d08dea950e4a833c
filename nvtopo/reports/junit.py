"""The report as JUnit's XML: a suite for each node, a case for each check. A warning is a failure, an info none."""

from collections.abc import Iterable

from nvtopo.checks import fleet
from nvtopo.checks.check import NotKnown
from nvtopo.checks.fleet import FleetReport
from nvtopo.checks.report import NodeReport
from nvtopo.findings.finding import Finding
from nvtopo.sinks.document.xml import Element, text_of

_CLUSTER = "cluster"


def render(report: FleetReport) -> str:
    """The JUnit XML file."""
    suites = [_suite(name, one) for name, one in report.nodes.items()]
    if report.findings:
        suites.append(_shared(report.findings))
    totals = {name: str(sum(int(suite.attributes[name]) for suite in suites)) for name in ("tests", "failures")}
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text_of(
        Element("testsuites", {"name": "nvtopo doctor", **totals}, suites)
    )


def _suite(name: str, report: NodeReport) -> Element:
    found = _by_id(report.findings)
    unknown: dict[str, list[NotKnown]] = {}
    for one in report.unknown:
        unknown.setdefault(one.id, []).append(one)
    ids = sorted({*report.checks, *found, *unknown})
    cases = [_case(name, one, found.get(one, []), unknown.get(one, []), report.checks.get(one)) for one in ids]
    return _counted(name, cases, {"verdict": report.verdict})


def _shared(findings: Iterable[Finding]) -> Element:
    return _counted(
        _CLUSTER, [_case(_CLUSTER, one, group, [], "failed") for one, group in _by_id(findings).items()], {}
    )


def _counted(name: str, cases: list[Element], properties: dict[str, str]) -> Element:
    failures = sum(any(child.tag == "failure" for child in case.children) for case in cases)
    skipped = sum(any(child.tag == "skipped" for child in case.children) for case in cases)
    said = [Element("property", {"name": key, "value": value}, []) for key, value in properties.items()]
    counts = {"tests": str(len(cases)), "failures": str(failures), "skipped": str(skipped), "errors": "0"}
    return Element(
        "testsuite", {"name": name, **counts}, [*([Element("properties", {}, said)] if said else []), *cases]
    )


def _case(suite: str, check: str, found: list[Finding], unknown: list[NotKnown], outcome: str | None) -> Element:
    children = []
    bad = [finding for finding in found if finding.severity != "info"]
    if bad:
        first = bad[0]
        attributes = {"type": first.severity, "message": f"{first.subject}: {first.evidence}"}
        children.append(Element("failure", attributes, [], _lines(bad)))
    elif unknown:
        children.append(Element("skipped", {"message": unknown[0].reason}, []))
    elif outcome == "not-applicable":
        children.append(Element("skipped", {"message": "not for this node"}, []))
    notes = [finding for finding in found if finding.severity == "info"]
    if notes:
        children.append(Element("system-out", {}, [], _lines(notes)))
    return Element("testcase", {"classname": f"nvtopo.doctor.{suite}", "name": check}, children)


def _lines(findings: Iterable[Finding]) -> str:
    return "\n".join(f"{one.subject}: {one.evidence}; expected: {one.expected}; do: {one.remedy}" for one in findings)


def _by_id(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.id, []).append(finding)
    return found


def of_node(report: NodeReport, name: str) -> str:
    """The JUnit XML file of one node."""
    return render(fleet.of_fleet({name: report}))
