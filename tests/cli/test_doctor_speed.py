"""How long doctor takes: one node within a second, a thousand captured nodes within ten, in CPU time by a reference."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests import reference

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CAPTURE = ROOT / "fixtures" / "hosts" / "hgx-h200-8gpu" / "capture.json"
NODES = 1000


def seconds_of(source: Path) -> float:
    """CPU seconds of one run: the wall clock is about who else is there."""
    words = (sys.executable, "-m", "nvtopo", "doctor", "--from", str(source))
    return reference.of_children(lambda: subprocess.run(words, cwd=ROOT, capture_output=True, check=True))


def test_one_node() -> None:
    assert seconds_of(CAPTURE) <= 1


def test_a_thousand_nodes(tmp_path: Path) -> None:
    capture = msgspec.json.decode(CAPTURE.read_bytes())
    for number in range(NODES):
        capture["host"]["name"] = f"n{number:04}"
        for gpu in capture["nvml"]["gpus"]:
            gpu["uuid"] = f"GPU-{number:08x}-{gpu['index']:04x}-0000-0000-000000000000"
        for position, device in enumerate(capture["rdma"]["devices"]):
            device["nodeGuid"] = f"{number:04x}:{position:04x}:0000:0001"
        (tmp_path / f"n{number:04}.json").write_bytes(msgspec.json.encode(capture))
    assert seconds_of(tmp_path) <= 10
