"""JUnit's XML against the rules of the schema that Jenkins publishes (junit-10.xsd), which others read too."""

from collections.abc import Iterator
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from nvtopo.checks.fleet import FleetReport, of_fleet
from nvtopo.reports import junit
from tests.checks.recorded import NAMES, report_of
from tests.checks.test_reports import FLEET
from tests.checks.test_reports import _hostile as hostile


class _Rule(NamedTuple):
    """What the schema says of an element. Any order of children is allowed, but in a suite."""

    children: frozenset[str]
    attributes: frozenset[str]
    required: frozenset[str] = frozenset()
    at_most_once: frozenset[str] = frozenset()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_RULES: Final = {
    "testsuites": _Rule(_set("testsuite"), _set("name time tests failures disabled errors")),
    "testsuite": _Rule(
        _set("properties testcase testsuite system-out system-err"),
        _set("name tests failures errors group time skipped timestamp hostname id package file log url version"),
        _set("name tests"),
        _set("properties"),
    ),
    "properties": _Rule(_set("property"), frozenset()),
    "property": _Rule(frozenset(), _set("name value"), _set("name value")),
    "testcase": _Rule(
        _set("skipped error failure rerunFailure rerunError flakyFailure flakyError system-out system-err"),
        _set("name time classname group"),
        _set("name"),
    ),
    "skipped": _Rule(frozenset(), _set("type message")),
    "failure": _Rule(frozenset(), _set("type message")),
    "error": _Rule(frozenset(), _set("type message")),
    "system-out": _Rule(frozenset(), frozenset()),
    "system-err": _Rule(frozenset(), frozenset()),
}
_COUNTS: Final = _set("tests failures errors skipped disabled")
_WITH_TEXT: Final = _set("skipped failure error system-out system-err")


def complaints(element: ET.Element) -> Iterator[str]:
    """What of the element and all below it the schema does not allow."""
    rule = _RULES.get(element.tag)
    if rule is None:
        yield f"no element {element.tag}"
        return
    yield from (f"{element.tag}: no attribute {name}" for name in sorted(element.attrib.keys() - rule.attributes))
    yield from (f"{element.tag}: lacks {name}" for name in sorted(rule.required - element.attrib.keys()))
    yield from (
        f"{element.tag}: {name} is no number"
        for name in sorted(_COUNTS & element.attrib.keys())
        if not element.attrib[name].isdecimal()
    )
    if element.tag not in _WITH_TEXT and (element.text or "").strip():
        yield f"{element.tag}: has text"
    tags = [child.tag for child in element]
    yield from (f"{element.tag}: no child {tag}" for tag in tags if tag not in rule.children)
    yield from (f"{element.tag}: several {tag}" for tag in rule.at_most_once if tags.count(tag) > 1)
    for child in element:
        yield from complaints(child)


def parsed(report: FleetReport) -> ET.Element:
    return ET.fromstring(junit.render(report))  # noqa: S314 - our own


def test_every_machine_s_report_keeps_the_schema_s_rules() -> None:
    root = parsed(of_fleet({name: report_of(name) for name in NAMES}, FLEET.nodes["h100-one-link-down"].findings))
    assert root.tag == "testsuites"
    assert list(complaints(root)) == []


@pytest.mark.parametrize("evil", ["</testcase><script/>", "\x1b[2J\x00", "]]>", ""])
def test_hostile_names_keep_them_too(evil: str) -> None:
    assert list(complaints(parsed(hostile(evil)))) == []


def test_counts_are_those_of_the_cases() -> None:
    root = parsed(of_fleet({name: report_of(name) for name in NAMES}))
    for suite in root:
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for what, tag in (("failures", "failure"), ("skipped", "skipped")):
            assert int(suite.attrib[what]) == sum(case.find(tag) is not None for case in cases)
        assert len({case.attrib["name"] for case in cases}) == len(cases)
    for what in ("tests", "failures"):
        assert int(root.attrib[what]) == sum(int(suite.attrib[what]) for suite in root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<testsuite/>", ["testsuite: lacks name", "testsuite: lacks tests"]),
        (
            '<testsuite name="a" tests="x" verdict="y"/>',
            ["testsuite: no attribute verdict", "testsuite: tests is no number"],
        ),
        ("<testsuites><testcase/></testsuites>", ["testsuites: no child testcase", "testcase: lacks name"]),
        ("<testcase name='a'><failure>b</failure><info/></testcase>", ["testcase: no child info", "no element info"]),
    ],
)
def test_the_rules_refuse_what_the_schema_does(text: str, said: list[str]) -> None:
    assert list(complaints(ET.fromstring(text))) == said  # noqa: S314 - our own
