"""The bench of ``nvtopo dump`` runs and says everything; how fast the machine is, is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.dump import HOSTS

pytestmark = pytest.mark.slow

BENCH = Path(__file__).resolve().parents[2] / "bench" / "dump"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable}
    return subprocess.run([str(BENCH), *arguments], env=environment, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    done = bench("--json", "--repetitions", "1")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_last_line_has_every_figure(lines: list[str]) -> None:
    figures = json.loads(lines[-1])
    dumps = {"nvtopo dump (this machine)", *(f"nvtopo dump ({host.name})" for host in HOSTS)}
    assert {"python -c pass", "python -c 'import click, msgspec'", "python -c 'import pynvml'", *dumps} <= set(
        figures["programs"]
    )
    for parts in figures["programs"].values():
        for part in (parts["wall"], parts["cpu"]):
            assert set(part) == {"medianSeconds", "minimumSeconds", "timesPython", "timesFloor", "timesLstopo"}
            assert part["medianSeconds"] >= part["minimumSeconds"] > 0
    assert figures["repetitions"] == 1
    assert set(figures["nvmlCalls"]) == {host.name for host in HOSTS}
    assert all(calls > 0 for calls in figures["nvmlCalls"].values())
    assert figures["lstopo"]
    assert figures["modules"] > 0


def test_no_kubernetes_module_is_imported(lines: list[str]) -> None:
    assert json.loads(lines[-1])["kubernetesModules"] == []


def test_people_get_a_line_for_each_program(lines: list[str]) -> None:
    for name in json.loads(lines[-1])["programs"]:
        assert any(line.startswith(name) for line in lines[:-1])


def test_nonsense_is_refused() -> None:
    done = bench("--repetitions", "0")
    assert done.returncode == 2
    assert "expected 1 or more" in done.stderr
