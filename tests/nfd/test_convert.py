"""``nvtopo convert`` and ``nvtopo nfd-hook`` against their golden files, and policy against the labels it came from."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given

from nvtopo.cli import main
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.features import features
from nvtopo.model.records.node import NodeTopology
from nvtopo.sinks.document import scheduler_policy
from tests import golden
from tests.nfd import topo
from tests.nfd.hostile import nodes

GOLDEN = Path(__file__).parent / "golden"
HOOK = Path(__file__).resolve().parents[2] / "nfd-hooks" / "nvtopo-features"
MACHINES = {"switched": topo.switched, "bridged": topo.bridged}


def converted(text: str, *options: str) -> str:
    result = CliRunner().invoke(main, ["convert", "-", *options], input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def satisfied(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    """As kube-scheduler evaluates one requirement on a node's labels."""
    value, values = labels.get(expression["key"]), expression["values"]
    if expression["operator"] == "Gt":
        return value is not None and int(value) > int(values[0])
    assert expression["operator"] == "In"
    return value in values


def required(affinity: dict[str, Any]) -> list[dict[str, Any]]:
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
    return [expression for term in terms for expression in term["matchExpressions"]]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("target", ["labels", "affinity", "scheduler-config"])
def test_what_is_printed(machine: str, target: str) -> None:
    suffix = "txt" if target == "labels" else "yaml"
    golden.check(converted(MACHINES[machine](), "--to", target), GOLDEN / f"{machine}.{target}.{suffix}")


@pytest.mark.parametrize("target", ["affinity", "scheduler-config"])
def test_json_says_the_same_as_yaml(target: str) -> None:
    text = topo.switched()
    assert json.loads(converted(text, "--to", target, "--json")) == yaml.safe_load(converted(text, "--to", target))


@given(nodes())
def test_a_node_meets_what_it_asks_for(node: NodeTopology) -> None:
    labels = features(node, derive(node))
    asked: Any = scheduler_policy.node_affinity(labels)
    assert all(satisfied(expression, labels) for expression in required(asked))
    for weighed in asked.get("preferredDuringSchedulingIgnoredDuringExecution", []):
        assert 1 <= weighed["weight"] <= 100
        assert all(satisfied(expression, labels) for expression in weighed["preference"]["matchExpressions"])


def test_a_lesser_node_does_not_meet_it() -> None:
    asked = yaml.safe_load(converted(topo.switched(), "--to", "affinity"))["nodeAffinity"]
    lesser = dict(line.split("=", 1) for line in converted(topo.bridged()).splitlines())
    assert [one["key"] for one in required(asked) if not satisfied(one, lesser)] == [
        "nvtopo.io/gpu.count",
        "nvtopo.io/nvlink.group-size",
    ]


def test_a_file_that_is_nothing_known_is_refused() -> None:
    result = CliRunner().invoke(main, ["convert", "-"], input="good morning")
    assert result.exit_code != 0
    assert result.stdout == ""


def test_the_hook_prints_labels_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    result = CliRunner().invoke(main, ["nfd-hook", "--root", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "nvtopo.io/gpu.count=0" in result.stdout.splitlines()
    assert all("=" in line for line in result.stdout.splitlines())


def test_the_hook_executable_runs_the_verb() -> None:
    assert HOOK.stat().st_mode & 0o111
    assert HOOK.read_text(encoding="utf-8").splitlines()[-1] == "exec nvtopo nfd-hook"
