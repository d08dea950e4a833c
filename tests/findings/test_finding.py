"""Findings: the pinned keys, what each check of the graph says, and problems as findings."""

import json
from typing import get_args

import msgspec
import pytest

from nvtopo.cluster.findings import Kind, found
from nvtopo.exporters import document
from nvtopo.findings.finding import SEVERITIES, Finding, FindingDomain, Severity
from nvtopo.findings.problems import of_problem
from nvtopo.model.records.record import Problem
from nvtopo.sources.reading import all_sources
from tests.cluster.machines import graph, tray

KEYS = ["id", "severity", "domain", "subject", "evidence", "expected", "remedy"]


def test_the_keys_are_those_of_the_contract() -> None:
    finding = found("nvlink", ("tray-1",), "GPU0 has 17 of 18 NVLinks").finding
    assert list(json.loads(msgspec.json.encode(finding))) == KEYS
    assert msgspec.json.decode(msgspec.json.encode(finding), type=Finding) == finding
    assert get_args(Severity) == SEVERITIES


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_says_what_was_expected_and_what_to_do(kind: Kind) -> None:
    finding = found(kind, ("a", "b"), "so it is").finding
    assert (finding.subject, finding.evidence) == ("a, b", "so it is")
    assert finding.severity in SEVERITIES
    assert finding.domain in get_args(FindingDomain)
    assert finding.expected
    assert finding.remedy.endswith(".")


def test_the_ids_are_unique() -> None:
    assert len({found(kind, ("a",), "").finding.id for kind in get_args(Kind)}) == len(get_args(Kind))


@pytest.mark.parametrize("source", all_sources())
def test_a_reading_that_failed_is_a_finding(source: str) -> None:
    finding = of_problem(Problem(source=source, subject="mlx5_0", reason="rate: I/O error"))
    assert (finding.id, finding.severity, finding.subject) == ("unreadable", "warning", "mlx5_0")
    assert finding.evidence == "rate: I/O error"
    assert finding.domain in get_args(FindingDomain)


def test_drift_and_problems_of_the_graph_have_the_old_keys_and_the_new() -> None:
    drawn = document.of(graph({"a": tray(1, 4), "b": tray(1, 4)}))
    encoded = json.loads(document.encode(drawn))
    place = next(one for one in encoded["drift"] if one["kind"] == "same-place")
    assert {*KEYS, "kind", "nodes", "reason"} == set(place)
    assert place["evidence"] == place["reason"]
    assert place["nodes"] == ["a", "b"]
    assert place["id"] == "place-claimed-twice"
    (problem,) = [one for one in encoded["nodes"]["a"]["problems"] if one["subject"] == "same-place"]
    assert {*KEYS, "source", "reason"} == set(problem)
    assert (problem["id"], problem["evidence"]) == (place["id"], place["evidence"])


def test_the_graph_of_an_aggregator_of_the_release_before_is_read() -> None:
    old = {
        "generation": 7,
        "nodes": {},
        "domains": {},
        "drift": [{"kind": "fabric", "nodes": ["a"], "reason": "it is so"}],
    }
    (drift,) = document.decode(msgspec.json.encode(old)).drift
    assert (drift.reason, drift.severity) == ("it is so", None)
