"""The plugin file for node-problem-detector: its rule's exit codes mean what that program takes them for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).resolve().parents[2]
#: As node-problem-detector has it: 0 is fine, 1 is a problem, every other code leaves the condition unknown.
_MEANS: Final = {0: "False", 1: "True"}


def plugin() -> dict[str, Any]:
    text = (ROOT / "monitoring" / "node-problem-detector" / "nvtopo-doctor.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("host", "condition"),
    [("hgx-h200-8gpu", "False"), ("h100-one-link-down", "True"), ("h100-links-training", "Unknown")],
)
def test_the_condition_is_doctor_s_verdict(host: str, condition: str) -> None:
    (rule,) = plugin()["rules"]
    assert rule["path"] == "nvtopo"
    capture = ROOT / "fixtures" / "hosts" / host / "capture.json"
    run = subprocess.run(
        (sys.executable, "-m", "nvtopo", *rule["args"], "--from", str(capture)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert _MEANS.get(run.returncode, "Unknown") == condition
    shown = run.stdout[: plugin()["pluginConfig"]["max_output_length"]]
    assert condition != "True" or "has 17 of 18 NVLinks" in shown


class _Settings(msgspec.Struct, forbid_unknown_fields=True):
    invoke_interval: str
    timeout: str
    max_output_length: int
    concurrency: int
    enable_message_change_based_condition_update: bool = False
    skip_initial_status: bool = False


class _Condition(msgspec.Struct, forbid_unknown_fields=True):
    type: str
    reason: str
    message: str


class _Rule(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["permanent", "temporary"]
    reason: str
    path: str
    condition: str = ""
    args: list[str] = []
    timeout: str = ""


class _Plugin(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of a custom plugin monitor, as node-problem-detector's documentation and examples have them."""

    plugin: Literal["custom"]
    pluginConfig: _Settings  # noqa: N815 - its name there
    source: str
    conditions: list[_Condition]
    rules: list[_Rule]
    metricsReporting: bool = True  # noqa: N815 - the same


def seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def test_the_file_is_of_its_schema() -> None:
    """It refuses a rule whose time is longer than that of all, and a problem that lasts needs its condition."""
    found = msgspec.convert(plugin(), _Plugin)
    assert seconds(found.pluginConfig.timeout) < seconds(found.pluginConfig.invoke_interval)
    for rule in found.rules:
        assert seconds(rule.timeout) <= seconds(found.pluginConfig.timeout)
        assert bool(rule.condition) == (rule.type == "permanent")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plugin(), "condition": []}, _Plugin)


def test_each_rule_is_of_a_condition_that_is_declared() -> None:
    declared = {condition["type"] for condition in plugin()["conditions"]}
    assert {rule["condition"] for rule in plugin()["rules"]} == declared
