"""The plugin file for node-problem-detector: its rule's exit codes mean what that program takes them for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

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


def test_each_rule_is_of_a_condition_that_is_declared() -> None:
    declared = {condition["type"] for condition in plugin()["conditions"]}
    assert {rule["condition"] for rule in plugin()["rules"]} == declared
