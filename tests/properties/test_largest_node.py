"""The largest node that the limits allow: no stage makes more calls than fit in a second, or holds more than 64 MiB."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MOST_CALLS = 7_000_000
"""A second on a common machine: ``python -m tests.properties.largest_node`` prints both beside each other."""
MOST_BYTES = 64 << 20


def test_each_stage_of_the_largest_node() -> None:
    run = subprocess.run(
        (sys.executable, "-m", "tests.properties.largest_node"), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    stages = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(stages) > 15
    assert [stage for stage in stages if stage["calls"] > MOST_CALLS or stage["bytes"] > MOST_BYTES] == []
