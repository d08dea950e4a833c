"""The bench of the aggregator's graph runs and says everything; how fast the machine is, is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCH = Path(__file__).resolve().parents[2] / "bench" / "aggregator"


def test_the_last_line_has_every_figure() -> None:
    done = subprocess.run(
        [str(BENCH), "--json", "--sizes", "40", "80", "--changes", "5", "--served", "40", "--seconds", "1"],
        env=os.environ | {"PYTHON": sys.executable},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *table, last = done.stdout.splitlines()
    figures = json.loads(last)
    assert [one["nodes"] for one in figures["curve"]] == [40, 80]
    assert [(one["from"], one["to"]) for one in figures["growth"]] == [(40, 80)]
    for one in figures["curve"]:
        assert one["change_p99"] >= one["change"] > 0
        assert one["sync"] > one["change"]
        assert one["gpus"] == one["nodes"] * 6
    assert len(table) == 3 + 2
    (one,) = figures["served"]
    for kind in ("heard", "bare_heard"):
        heard = one[kind]
        assert heard["changes"] == one["rate"] * 10, "every change at every subscriber"
        assert 0 < heard["median"] <= heard["p99"] <= heard["longest"]
    assert min(one[key] for key in ("healthz", "node", "bare")) > 0
