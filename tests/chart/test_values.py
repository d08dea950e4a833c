"""What values.yaml changes, one at a time, and how the chart says no."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import nvtopo
from tests.chart.programs import Helm, Kustomize
from tests.daemonset import shipped
from tests.daemonset.shipped import DAEMONSET, Json
from tests.monitoring.shipped import alerts
from tests.test_docs import fenced

pytestmark = pytest.mark.lab

RESOURCES: Final = {"requests": {"cpu": "1", "memory": "1Gi"}}
TOLERATIONS: Final = [{"key": "a", "operator": "Exists"}]
RUNBOOKS: Final = "https://git.example.com/team/nvtopo/blob/main/docs/runbooks.md"
AFFINITY: Final[Json] = {"nodeAffinity": {}}


def _agent(objects: list[Json]) -> Json:
    return shipped.one(objects, "DaemonSet", "nvtopo-agent")


def _aggregator(objects: list[Json]) -> Json:
    return shipped.one(objects, "Deployment", "nvtopo-aggregator")


def _pod(workload: Callable[[list[Json]], Json], field: str) -> Callable[[list[Json]], Any]:
    return lambda objects: shipped.pod_of(workload(objects))[field]


def _container(workload: Callable[[list[Json]], Json], field: str) -> Callable[[list[Json]], Any]:
    return lambda objects: shipped.pod_of(workload(objects))["containers"][0][field]


def _images(objects: list[Json]) -> set[str]:
    return {container["image"] for _, _, container in shipped.containers(objects)}


EFFECTS: Final[dict[str, tuple[str, Callable[[list[Json]], Any], Any]]] = {
    "tag": ('image={"repository": "r.example/n", "tag": "2"}', _images, {"r.example/n:2"}),
    "no-tag": ('image.repository="r.example/n"', _images, {f"r.example/n:{nvtopo.__version__}"}),
    "digest": (f'image.digest="sha256:{"0" * 64}"', _images, {f"nvtopo@sha256:{'0' * 64}"}),
    "pull-secrets": ('image.pullSecrets=[{"name": "s"}]', _pod(_agent, "imagePullSecrets"), [{"name": "s"}]),
    "pull-policy": ('image.pullPolicy="Always"', _container(_aggregator, "imagePullPolicy"), "Always"),
    "at-a-time": (
        'agent.maxUnavailable="25%"',
        lambda objects: _agent(objects)["spec"]["updateStrategy"]["rollingUpdate"],
        {"maxUnavailable": "25%", "maxSurge": 0},
    ),
    "runtime": ('agent.runtimeClassName="nvidia-cdi"', _pod(_agent, "runtimeClassName"), "nvidia-cdi"),
    "cluster-name": (
        'aggregator.clusterName="east"',
        lambda objects: _container(_aggregator, "args")(objects)[-1],
        "--cluster-name=east",
    ),
    "agent-arguments": (
        'agent.extraArgs=["--interval=30"]',
        _container(_agent, "args"),
        ["agent", "--listen=$(HOST_IP):9745", "--interval=30"],
    ),
    "agent-resources": (f"agent.resources={json.dumps(RESOURCES)}", _container(_agent, "resources"), RESOURCES),
    "agent-anywhere": ("agent.affinity={}", _pod(_agent, "affinity"), {}),
    "agent-selector": ('agent.nodeSelector={"a": "b"}', _pod(_agent, "nodeSelector"), {"a": "b"}),
    "agent-tolerations": (f"agent.tolerations={json.dumps(TOLERATIONS)}", _pod(_agent, "tolerations"), TOLERATIONS),
    "agent-priority": ('agent.priorityClassName="p"', _pod(_agent, "priorityClassName"), "p"),
    "replicas": ("aggregator.replicas=3", lambda objects: _aggregator(objects)["spec"]["replicas"], 3),
    "aggregator-resources": (
        f"aggregator.resources={json.dumps(RESOURCES)}",
        _container(_aggregator, "resources"),
        RESOURCES,
    ),
    "aggregator-affinity": (f"aggregator.affinity={json.dumps(AFFINITY)}", _pod(_aggregator, "affinity"), AFFINITY),
    "aggregator-selector": ('aggregator.nodeSelector={"a": "b"}', _pod(_aggregator, "nodeSelector"), {"a": "b"}),
    "aggregator-tolerations": (
        f"aggregator.tolerations={json.dumps(TOLERATIONS)}",
        _pod(_aggregator, "tolerations"),
        TOLERATIONS,
    ),
    "aggregator-priority": ('aggregator.priorityClassName="p"', _pod(_aggregator, "priorityClassName"), "p"),
    "no-network-policy": (
        "networkPolicy.enabled=false",
        lambda objects: [each["metadata"]["name"] for each in objects if each["kind"] == "NetworkPolicy"],
        [],
    ),
    "no-crd": (
        "crd.install=false",
        lambda objects: [each["metadata"]["name"] for each in objects if each["kind"] == "CustomResourceDefinition"],
        [],
    ),
    "keep-crd": (
        "crd.keep=true",
        lambda objects: shipped.one(objects, "CustomResourceDefinition", "nodetopologies.nvtopo.io")["metadata"],
        {"name": "nodetopologies.nvtopo.io", "annotations": {"helm.sh/resource-policy": "keep"}},
    ),
}


@pytest.mark.parametrize("effect", EFFECTS)
def test_value_has_its_effect_and_no_other(helm: Helm, effect: str) -> None:
    setting, look, expected = EFFECTS[effect]
    before, after = helm.template(), helm.template(setting)
    assert look(after) == expected
    changed = [each for each in after if each not in before]
    assert {each["kind"] for each in changed} <= {"DaemonSet", "Deployment", "CustomResourceDefinition"}
    assert len(changed) + len(before) - len(after) <= 2


def test_monitoring_says_how_the_operator_finds_and_scrapes(helm: Helm) -> None:
    settings = ("components.service-monitor=true", 'monitoring={"labels": {"release": "p"}, "interval": "5m"}')
    monitors = [each for each in helm.template(*settings) if each["kind"] == "ServiceMonitor"]
    assert len(monitors) == 2
    for monitor in monitors:
        assert monitor["metadata"]["labels"] == {"app.kubernetes.io/name": "nvtopo", "release": "p"}
        assert [endpoint["interval"] for endpoint in monitor["spec"]["endpoints"]] == ["5m"]


def test_alerts_open_the_runbooks_where_the_operator_has_them(helm: Helm, kustomize: Kustomize) -> None:
    """By the chart's value, and by the overlay that monitoring/README.md shows; no other object changes."""
    before = helm.template("components.prometheus-rule=true")
    after = helm.template("components.prometheus-rule=true", f'monitoring.runbookURL="{RUNBOOKS}"')
    expected = {alert["alert"]: f"{RUNBOOKS}#{alert['alert'].lower()}" for alert in alerts()}
    assert _runbooks(after) == expected
    assert [each["metadata"]["name"] for each in after if each not in before] == ["nvtopo-alerts"]
    overlay = kustomize.build(["prometheus-rule"], yaml.safe_load(_shown_overlay()))
    assert _runbooks(overlay) == expected
    assert len(overlay) == len(kustomize.build(["prometheus-rule"]))


def _shown_overlay() -> str:
    (text,) = (text for _, text in fenced(DAEMONSET.parent / "monitoring/README.md") if "replacements:" in text)
    return text


def _runbooks(objects: list[Json]) -> dict[str, str]:
    groups = [group for each in objects if each["kind"] == "PrometheusRule" for group in each["spec"]["groups"]]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules}


def test_release_lives_in_its_own_namespace_whole(helm: Helm) -> None:
    objects = helm.template("components.node-feature=true", namespace="elsewhere")
    assert {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]} == {"elsewhere"}
    subjects = [subject for each in objects for subject in each.get("subjects", ())]
    assert len(subjects) == 4
    assert {subject["namespace"] for subject in subjects} == {"elsewhere"}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("image.tag=9", "at '/image/tag': got number, want string"),
        ('imgae={"tag": "9"}', "at '': additional properties 'imgae' not allowed"),
        ("components.acss=true", "at '/components': additional properties 'acss' not allowed"),
        ('components.acs="yes"', "at '/components/acs': got string, want boolean"),
        ('agent.maxUnavailable="0%"', "at '/agent/maxUnavailable': '0%' does not match pattern '^([1-9][0-9]?|100)%$'"),
        ("agent.maxUnavailable=0", "at '/agent/maxUnavailable': minimum: got 0, want 1"),
        ("aggregator.replicas=0", "at '/aggregator/replicas': minimum: got 0, want 1"),
        ('agent.extraArgs=["listen"]', "at '/agent/extraArgs/0': 'listen' does not match pattern '^--'"),
        ("monitoring.interval=15", "at '/monitoring/interval': got number, want null or string"),
        (
            'monitoring.runbookURL="docs/a.md"',
            "at '/monitoring/runbookURL': 'docs/a.md' does not match pattern '^https?://[^#]+$'",
        ),
        ('agent.resources={"request": {}}', "at '/agent/resources': additional properties 'request' not allowed"),
    ],
    ids=lambda text: text.partition("=")[0].replace(".", "-"),
)
def test_wrong_value_is_named_in_one_line(helm: Helm, setting: str, said: str) -> None:
    head, chart, line = helm.refusal(setting)
    assert head.startswith("Error: values don't meet the specifications")
    assert (chart, line) == ("nvtopo:", f"- {said}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"configMapGenerator": []}, "the chart knows resources, components and patches, not configMapGenerator"),
        ({"resources": ["gone.yaml"]}, "gone.yaml: no such file in the chart"),
        (
            {"patches": [{"target": {"kind": "DaemonSet", "name": "nobody"}, "patch": "[]"}]},
            'no object for the patch of {"kind":"DaemonSet","name":"nobody"}',
        ),
    ],
    ids=["generator", "file", "patch"],
)
def test_manifests_beyond_the_chart_s_understanding_are_an_error(
    helm: Helm, tmp_path: Path, change: Json, said: str
) -> None:
    chart = tmp_path / "nvtopo"
    shutil.copytree(DAEMONSET, chart)
    file = chart / "kustomization.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    assert said in " ".join(helm.refusal(chart=chart))


def test_lint_has_nothing_to_say(helm: Helm) -> None:
    done = helm.run("lint", "--strict", "--kube-version", "1.30.0", str(DAEMONSET))
    assert done.returncode == 0, done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("[") and "icon" not in line] == []
