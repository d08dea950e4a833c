"""Rules and dashboards name only series and labels that exist, and every alert has a runbook."""

import re
from itertools import chain, pairwise
from pathlib import Path
from typing import Final

import pytest

from monitoring import prometheus_rule
from tests import yaml_text
from tests.daemonset import shipped as manifests
from tests.metrics_table import AGENT, AGGREGATOR
from tests.monitoring import shipped
from tests.monitoring.promql import Use, clause_labels, uses
from tests.monitoring.shipped import REPOSITORY, Json

#: What Prometheus itself puts on every series, and the operator or prometheus.yaml on ours.
TARGET: Final = frozenset({"job", "instance", "node"})
DECLARED: Final = {series.name: TARGET | set(series.labels) for series in (*AGENT, *AGGREGATOR)}
#: Of Prometheus itself.
FOREIGN: Final = {
    "up": TARGET,
    "scrape_duration_seconds": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate", "severity"},
}
RECORDED: Final = {rule["record"]: rule["expr"] for rule in shipped.all_rules() if "record" in rule}
QUERIES: Final = [rule["expr"] for rule in shipped.all_rules()] + [query.expr for query in shipped.queries()]


def labels_of(name: str) -> frozenset[str]:
    """The labels that the series can have; of a recorded one, those that its rule keeps."""
    if name in RECORDED:
        found = {*TARGET, *chain.from_iterable(labels_of(use.name) for use in uses(RECORDED[name]))}
        return frozenset(found & (clause_labels(RECORDED[name]) or found))
    assert name in DECLARED | FOREIGN, f"{name} is not declared"
    return frozenset((DECLARED | FOREIGN)[name])


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: re.sub(r"\W+", " ", query)[:80])
def test_every_series_and_label_exists(query: str) -> None:
    found = list(uses(query))
    assert found
    for use in found:
        assert use.labels <= labels_of(use.name), f"{use.name} has no {set(use.labels - labels_of(use.name))}"
    known = frozenset(chain.from_iterable(labels_of(use.name) for use in found))
    assert clause_labels(query) <= known


def test_what_the_check_itself_sees() -> None:
    query = 'topk by (a) (1, max_over_time(x_y{l="up_z", m!~"q"}[5m])) * on (n) group_left (r) o:x_y:sum unless up == 1'
    names = [Use("x_y", frozenset({"l", "m"})), Use("o:x_y:sum", frozenset()), Use("up", frozenset())]
    assert list(uses(query)) == names
    assert clause_labels(query) == {"a", "n", "r"}


def test_recording_names_say_level_series_and_operation() -> None:
    for name in RECORDED:
        assert re.fullmatch(r"(node_gpu|node_device|node|rack|fleet):nvtopo_[a-z0-9_]+:[a-z0-9_]+", name)


def test_no_two_alerts_have_one_name() -> None:
    names = [alert["alert"] for alert in shipped.alerts()]
    assert len(names) == len(set(names))


def test_every_alert_says_who_what_and_what_to_do() -> None:
    for alert in shipped.alerts():
        assert re.fullmatch(r"Nvtopo[A-Za-z0-9]+", alert["alert"])
        assert alert["labels"].keys() == {"severity"}
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["description"].endswith(".")


def test_every_alert_has_the_reason_of_its_numbers_above_it() -> None:
    for path in prometheus_rule.RULES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for before, line in pairwise(lines):
            if line.startswith("  - alert: "):
                assert before.startswith("  # "), line


def test_every_link_is_a_section_of_the_runbooks_and_none_is_left_over() -> None:
    text = (REPOSITORY / prometheus_rule.RUNBOOKS).read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    titles = [section.partition("\n")[0] for section in sections]
    assert titles == [alert["alert"] for alert in shipped.alerts()]
    for alert in shipped.alerts():
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == (prometheus_rule.RUNBOOKS, alert["alert"].lower())
    for section in sections:
        assert all(f"**{part}** " in section for part in ("Means", "Look", "Do")), section


def test_runbooks_name_series_that_exist_and_files_that_are_there() -> None:
    path = REPOSITORY / prometheus_rule.RUNBOOKS
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:node_gpu:|node_device:|node:|rack:|fleet:)?nvtopo_[a-z0-9_]+(?::[a-z0-9_]+)?", text))
    assert {name.rstrip(":") for name in named} <= DECLARED.keys() | RECORDED.keys()
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (path.parent / link).exists(), link


def test_the_operator_gets_the_very_same_rules() -> None:
    folder = manifests.DAEMONSET / "components" / "prometheus-rule"
    assert (folder / "prometheus-rule.yaml").read_text(encoding="utf-8") == prometheus_rule.manifest(), "make golden"
    objects: list[Json] = list(yaml_text.read_all(prometheus_rule.manifest()))
    files = [yaml_text.read(path.read_text(encoding="utf-8")) for path in prometheus_rule.RULES]
    assert [each["spec"] for each in objects] == files
    assert {each["kind"] for each in objects} == {"PrometheusRule"}


def test_links_can_be_made_absolute() -> None:
    text = prometheus_rule.manifest("https://docs.example/runbooks.md")
    assert text.count("runbook_url: https://docs.example/runbooks.md#nvtopo") == len(shipped.alerts())
    assert "runbook_url: docs/" not in text


def test_jobs_are_called_as_the_services_are() -> None:
    monitors = manifests.with_components(("service-monitor",))
    named = {each["metadata"]["name"] for each in monitors if each["kind"] == "ServiceMonitor"}
    configured = yaml_text.read((shipped.MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))
    assert {job["job_name"] for job in configured["scrape_configs"]} == named
    used = {job for query in QUERIES for job in re.findall(r'job="([^"]+)"', query)}
    assert used == named


def test_the_list_of_files_is_whole() -> None:
    names = {path.name for path in (shipped.MONITORING / "rules").iterdir()}
    assert names == {path.name for path in map(Path, prometheus_rule.RULES)}
