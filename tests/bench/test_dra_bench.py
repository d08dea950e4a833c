"""The bench of claims with and without shadows runs and says everything; how fast that is, is not its business."""

import json
import subprocess
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "dra"

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def test_it_prints_each_ask_with_and_without_shadows() -> None:
    arguments = [str(BENCH), "--nodes", "2", "--runs", "1", "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    found = json.loads(last)["seconds"]
    asks = {f"{count} GPUs, {word}" for word in ("fits", "fits nowhere") for count in (1, 2, 4)}
    whole = {f"8 GPUs, {word}" for word in ("fits", "fits nowhere")}
    assert found.keys() == asks | whole
    assert all({*found[ask]} == {"plain", "shadows"} for ask in asks)
    assert all({*found[ask]} == {"plain", "node"} for ask in whole)
    assert all(min(one.values()) > 0 for one in found.values())
    assert all(any(line.startswith(ask) for line in table) for ask in asks)
