"""The bench beside a real API server runs and says everything; how fast the machine is, is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

BENCH = Path(__file__).resolve().parents[2] / "bench" / "api_server"


def test_the_last_line_has_every_figure() -> None:
    done = subprocess.run(
        [str(BENCH), "--json", "--nodes", "600", "--rounds", "1", "--seconds", "1", "--rate", "20"],
        env=os.environ | {"PYTHON": sys.executable},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["nodes"], figures["gpus"]) == (600, 300 * 4 + 300 * 8)
    assert figures["sync"]["bytes"] > 1_000_000, "more than one page"
    assert figures["sync"]["ratio"] > 0
    heard = figures["heard"]
    assert heard["changes"] == 20 * 10, "every change at every subscriber"
    assert 0 < heard["median"] <= heard["p99"] <= heard["longest"]
