"""The bench of a scrape runs and says everything; how fast the machine is, is not a test's business."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import scrape

pytestmark = pytest.mark.slow

BENCH = Path(__file__).resolve().parents[2] / "bench" / "scrape"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable}
    return subprocess.run([str(BENCH), *arguments], env=environment, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    done = bench("--json", "--scrapes", "3", "--quiet", "0.2")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_last_line_has_every_figure(lines: list[str]) -> None:
    figures = json.loads(lines[-1])
    assert set(figures["machines"]) == set(scrape.MACHINES)
    other = {"nodeExporter"} if shutil.which(scrape.NODE_EXPORTER) else set()
    for found in figures["machines"].values():
        assert set(found) == {"agent", "sampling", "driver"} | other
        agent = found["agent"]
        assert 0 < agent["medianSeconds"] <= agent["p99Seconds"] <= agent["maximumSeconds"]
        assert agent["series"] > 8 * 18 * 9
        assert agent["pssBytes"] > 1 << 20
        assert found["sampling"]["workerPssBytes"] > 1 << 20
        assert found["driver"]["samples"] >= 2
        # The last sample may come after the page that said how many there were.
        assert 1 <= found["driver"]["batchesPerGpuAndSample"] <= 1.5


def test_people_get_a_verdict_and_where_the_other_exporter_comes_from(lines: list[str]) -> None:
    assert any(line.startswith("p99 of at most 30 ms: ") for line in lines)
    assert lines[-2].startswith("node exporter: ")


def test_percentile() -> None:
    assert scrape._percentile([float(number) for number in range(100, 0, -1)], 0.99) == 99
    assert scrape._percentile([5.0], 0.99) == 5


def test_nonsense_is_refused() -> None:
    done = bench("--scrapes", "0")
    assert done.returncode == 2
    assert "expected 1 or more" in done.stderr
