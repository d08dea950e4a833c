"""The bench of ``nvtopo doctor`` runs and says everything; how fast the machine is, is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).resolve().parents[2] / "bench" / "doctor"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable}
    return subprocess.run([str(BENCH), *arguments], env=environment, check=False, capture_output=True, text=True)


def test_the_last_line_has_every_figure() -> None:
    done = bench("--json", "--nodes", "3", "--repetitions", "1")
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(done.stdout.splitlines()[-1])
    assert list(figures["programs"]) == [
        "python -c 'import click, msgspec'",
        "nvtopo doctor, one node",
        "nvtopo doctor, 3 nodes",
    ]
    assert all(min(row.values()) > 0 for row in figures["programs"].values())


def test_nonsense_is_refused() -> None:
    done = bench("--nodes", "0")
    assert done.returncode == 2
    assert "expected 1 or more" in done.stderr
