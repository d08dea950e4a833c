"""The report's other formats: what others read of it, with hostile names in it too."""

import re
from typing import Any, Final
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from nvtopo.checks.fleet import FleetReport, of_fleet
from nvtopo.checks.report import NodeReport, of_node
from nvtopo.findings.finding import Finding
from nvtopo.reports import document, formats, html, junit, prometheus, sarif, text
from tests.checks.recorded import machine_of, report_of, snapshot_of

HOSTS: Final = ("h100-one-link-down", "hgx-h200-8gpu", "h100-links-training", "mixed-h200-a100-cards")
FLEET: Final = of_fleet({name: report_of(name) for name in HOSTS})
_TEXTS: Final = st.text(st.characters(codec="utf-8"), max_size=40)


def _hostile(evil: str) -> FleetReport:
    finding = Finding(
        id="nvlinks-missing",
        severity="critical",
        domain="gpu-fabric",
        subject=evil,
        evidence=evil,
        expected=evil,
        remedy=evil,
    )
    return of_fleet({evil: NodeReport(verdict="not-ready", findings=(finding,))}, (finding,))


def test_junit_has_a_suite_for_each_node_and_a_failure_for_what_is_wrong() -> None:
    root = ET.fromstring(junit.render(FLEET))  # noqa: S314 - our own
    suites = {suite.get("name"): suite for suite in root}
    assert suites.keys() == set(HOSTS)
    failed = [
        case.get("name") for case in suites["h100-one-link-down"].iter("testcase") if case.find("failure") is not None
    ]
    assert failed == ["nvlinks-missing"]
    assert suites["hgx-h200-8gpu"].get("failures") == "0"
    assert suites["mixed-h200-a100-cards"].get("failures") == "2"
    assert root.get("failures") == "3"
    skipped = {
        case.get("name") for case in suites["h100-links-training"].iter("testcase") if case.find("skipped") is not None
    }
    assert "nvlinks-training" in skipped


def test_sarif_has_a_rule_and_a_place_for_each_result() -> None:
    (run,) = msgspec.json.decode(sarif.render(FLEET))["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    worst: list[dict[str, Any]] = [result for result in run["results"] if result["level"] == "error"]
    names = [result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for result in worst]
    assert names == ["h100-one-link-down/GPU2"]


def test_series_leave_an_open_verdict_out() -> None:
    families = {family.name: family for family in text_string_to_metric_families(prometheus.render(FLEET))}
    ready = {sample.labels["node"]: sample.value for sample in families["nvtopo_doctor_ready"].samples}
    assert ready == {"h100-one-link-down": 0, "hgx-h200-8gpu": 1, "mixed-h200-a100-cards": 1}
    assert len(families["nvtopo_doctor_unknown"].samples) == len(HOSTS)


def test_html_shows_the_worst_first_and_asks_for_nothing() -> None:
    machines = {name: machine_of(snapshot_of(name)) for name in HOSTS}
    page = str(formats.render("html", FLEET, machines))
    assert page.index("GPU2 has 17 of 18 NVLinks") < page.index("hgx-h200-8gpu")
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"' >)]*)""", page)
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "<script" not in page
    assert page.count("not measured") == 5
    assert page.count("data:image/svg+xml") == len(HOSTS)
    assert "NV18" in page


def test_html_begins_with_the_worst_of_all_nodes_whatever_is_found_of_several() -> None:
    """A rack's hundred infos do not push a node that is not ready off the first screen."""
    (bad,) = [one for one in FLEET.nodes["h100-one-link-down"].findings if one.severity == "critical"]
    notes = tuple(replace(bad, severity="info", subject=f"rail {number:03}") for number in range(100))
    page = html.render(of_fleet(FLEET.nodes, notes), {})
    assert page.index(bad.evidence) < page.index("rail 000")
    warnings = tuple(replace(one, severity="warning") for one in notes)
    page = html.render(of_fleet(FLEET.nodes, warnings), {})
    assert "The worst (the first 10 of 104)" in page
    assert page.index(bad.evidence) < page.index("rail 000")


@pytest.mark.parametrize("evil", ["</td><script>alert(1)</script>", '"><img src=x onerror=1>', "\x1b[2J\x00"])
def test_hostile_names_are_text(evil: str) -> None:
    report = _hostile(evil)
    page = html.render(report, {})
    assert "<script" not in page
    assert "<img" not in page
    ET.fromstring(junit.render(report))  # noqa: S314 - our own
    assert "\x1b" not in text.fleet(report)


@settings(max_examples=20)
@given(_TEXTS)
@pytest.mark.slow
def test_every_format_bears_any_name(evil: str) -> None:
    report = _hostile(evil)
    ET.fromstring(junit.render(report))  # noqa: S314 - our own
    msgspec.json.decode(sarif.render(report))
    msgspec.json.decode(document.render(report))
    list(text_string_to_metric_families(prometheus.render(report)))
    assert len(text.fleet(report).splitlines()) <= 24


def test_equal_reports_have_an_equal_digest_and_others_another() -> None:
    snapshot = snapshot_of("h100-one-link-down")
    again = of_node(machine_of(snapshot))
    assert document.digest(again) == document.digest(report_of("h100-one-link-down"))
    assert document.digest(again) != document.digest(report_of("hgx-h200-8gpu"))
