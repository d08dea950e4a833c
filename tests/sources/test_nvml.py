"""The NVML worker over the C library: what a sick driver does, and that the rest is read all the same."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nvtopo.sources.machine import NvmlReading
from nvtopo.sources.nvml.topology import NvmlWorker
from tests.hosts.recorded import FIXTURES
from tests.nvml import build

H100 = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "nvml.json"
GB200 = FIXTURES / "hosts" / "gb200-nvl72-tray" / "nvml.json"

Ask = Callable[..., NvmlReading]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Asks the library with a changed fixture."""

    def asked(fixture: Path, change: Callable[[Any], None] = lambda _: None, *, seconds: float = 20) -> NvmlReading:
        model = json.loads(fixture.read_text())
        change(model)
        path = tmp_path / "nvml.json"
        path.write_text(json.dumps(model))
        monkeypatch.setenv("NVTOPO_NVML_FIXTURE", str(path))
        return NvmlWorker(str(build.library()), deadline_seconds=seconds).finish()

    return asked


def reasons(reading: NvmlReading) -> list[tuple[str, str]]:
    return [(problem.subject, problem.reason) for problem in reading.problems]


def test_a_machine_without_the_library_has_no_driver_and_no_problem() -> None:
    assert NvmlWorker("/nonexistent/libnvidia-ml.so.1").finish() == NvmlReading(None)


def test_a_healthy_driver_answers_without_a_problem(ask: Ask) -> None:
    reading = ask(H100)
    assert reading.problems == ()
    assert reading.facts is not None
    assert len(reading.facts.gpus) == 8
    assert {link.state for gpu in reading.facts.gpus for link in gpu.nvlinks} == {"active"}


def test_a_driver_that_hangs_is_left_at_the_deadline(ask: Ask) -> None:
    began = time.monotonic()
    reading = ask(H100, lambda model: model.update(delays={"nvmlInitWithFlags": 60_000}), seconds=0.5)
    assert time.monotonic() - began < 10
    assert reading.facts is None
    assert reasons(reading) == [("driver", "no answer within 0.5 s: the driver hangs")]


@pytest.mark.parametrize(
    ("code", "says"),
    [(4, "no permission"), (9, "kernel module not loaded yet"), (18, "driver/library version mismatch")],
)
def test_a_driver_that_is_not_there_yet_says_why(ask: Ask, code: int, says: str) -> None:
    reading = ask(H100, lambda model: model.update(returns={"nvmlInitWithFlags": code}))
    assert reading.facts is None
    assert says in reasons(reading)[0][1]


def test_a_lost_gpu_does_not_hide_the_others(ask: Ask) -> None:
    reading = ask(H100, lambda model: model["gpus"][3].update(lost=True))
    assert reading.facts is not None
    assert [gpu.index for gpu in reading.facts.gpus] == [0, 1, 2, 4, 5, 6, 7]
    assert reading.facts.lost == 1
    assert any(subject == "GPU3" for subject, _ in reasons(reading))


def test_a_call_that_the_hardware_lacks_is_absent_and_no_problem(ask: Ask) -> None:
    reading = ask(GB200, lambda model: model.update(returns={"nvmlDeviceGetPlatformInfo": 3}))
    assert reading.problems == ()
    assert reading.facts is not None
    assert {gpu.platform for gpu in reading.facts.gpus} == {None}


def test_a_call_that_fails_is_a_problem_and_no_number(ask: Ask) -> None:
    reading = ask(H100, lambda model: model["gpus"][0].update(returns={"nvmlDeviceGetMinorNumber": 999}))
    assert reading.facts is not None
    assert [gpu.minor for gpu in reading.facts.gpus][:2] == [None, 1]
    assert reasons(reading) == [("GPU0", "nvmlDeviceGetMinorNumber: Unknown Error")]


@pytest.mark.parametrize("versions", [[2], [1], [1, 2, 3], [4], [1, 4]])
def test_every_driver_s_fabric_struct_is_understood(ask: Ask, versions: list[int]) -> None:
    reading = ask(GB200, lambda model: model.update(fabricVersions=versions))
    assert reading.problems == ()
    assert reading.facts is not None
    assert {gpu.fabric.clique_id for gpu in reading.facts.gpus if gpu.fabric} == {2}


def test_a_worker_that_dies_is_a_problem(ask: Ask) -> None:
    reading = ask(H100, lambda model: model.update(gpus="none"))
    assert reading.facts is None
    assert reasons(reading)[0][0] == "driver"


LINK_FIELDS = ("field:91", "field:146", "field:164", "field:165", "field:166")


def test_a_driver_without_link_fields_is_asked_link_by_link(ask: Ask) -> None:
    reading = ask(H100, lambda model: model.update(returns=dict.fromkeys(LINK_FIELDS, 3)))
    assert reading.problems == ()
    assert reading.facts is not None
    links = [link for gpu in reading.facts.gpus for link in gpu.nvlinks]
    assert len(links) == 8 * 18
    assert {(link.state, link.version, link.bytes_per_second) for link in links} == {("active", "4.0", None)}


def test_each_gpu_is_asked_for_its_fields_once(tmp_path: Path) -> None:
    calls = tmp_path / "calls.json"
    environment = {"NVTOPO_NVML_FIXTURE": str(H100), "NVTOPO_NVML_CALLS": str(calls), "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-m", "nvtopo.sources.nvml.worker", str(build.library())]
    subprocess.run(argv, check=True, capture_output=True, env=environment, cwd=FIXTURES.parent, timeout=30)
    assert json.loads(calls.read_text())["nvmlDeviceGetFieldValues"] == 8
