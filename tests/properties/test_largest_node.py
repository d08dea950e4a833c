"""The largest node that the limits allow takes no stage more than a second, and less than 64 MiB altogether."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MOST_SECONDS = 1.0
MOST_BYTES = 64 << 20


def test_each_stage_of_the_largest_node() -> None:
    run = subprocess.run(
        (sys.executable, "-m", "tests.properties.largest_node"), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    stages = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(stages) > 15
    assert [stage for stage in stages if stage["seconds"] > MOST_SECONDS or stage["bytes"] > MOST_BYTES] == []
