"""A short soak: everything that happens to an agent in it happens once, and is seen.

How soon, is for ``bench/soak`` itself to judge, on a machine that has nothing else to do.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import scrape
from bench.soaking import apart

BENCH = Path(__file__).resolve().parents[2] / "bench" / "soak"
#: Then it goes on until everything has happened once.
SECONDS = 5

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not apart.is_possible(), reason="needs root, for network namespaces"),
]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable}
    return subprocess.run([str(BENCH), *arguments], env=environment, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def done() -> subprocess.CompletedProcess[str]:
    found = bench("--json", "--seconds", str(SECONDS))
    assert found.returncode in (0, 1), found.stderr
    return found


@pytest.fixture(scope="module")
def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return done.stdout.splitlines()


def test_every_fault_passes_and_no_change_is_missed(lines: list[str]) -> None:
    figures = json.loads(lines[-1])
    assert figures["missed"] == []
    assert set(figures["faults"]) == {
        "driver hangs",
        "driver is not loaded",
        "API server away",
        "feature directory away",
        "feature file removed",
        "worker killed",
    }
    assert figures["changes"] > 10


def test_its_exit_code_is_its_verdict(done: subprocess.CompletedProcess[str], lines: list[str]) -> None:
    assert done.returncode == (False in json.loads(lines[-1])["met"].values())


def test_the_page_is_there_all_the_time(lines: list[str]) -> None:
    scrapes = json.loads(lines[-1])["scrapes"]
    assert scrapes["failed"] == 0
    assert scrapes["count"] > SECONDS


def test_memory_and_processor_are_measured_beside_the_node_exporter(lines: list[str]) -> None:
    figures = json.loads(lines[-1])
    assert figures["memory"]["mostPssBytes"] > 1 << 24
    assert figures["met"]["memory at most 100 MB"] is True
    assert figures["met"]["memory flat"] is None, "a minute says nothing of it"
    other = {"nodeExporter"} if shutil.which(scrape.NODE_EXPORTER) else set()
    assert set(figures["calm"]) == {"seconds", "agent"} | other
    assert figures["calm"]["agent"]["cpuShare"] > 0


def test_people_get_every_verdict(lines: list[str]) -> None:
    for what in json.loads(lines[-1])["met"]:
        assert any(line.startswith(f"{what}: ") for line in lines[:-1])
