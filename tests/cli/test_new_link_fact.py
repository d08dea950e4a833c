"""One new line in the record of a link, in a copy of the package: read, folded, compared, dumped, in the schema."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.recorded import FIXTURES

pytestmark = pytest.mark.slow

ROOT = FIXTURES.parent
_CAPTURE = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7" / "capture.json"
_BEFORE = '    version: ShortWord = ""\n'
_LINE = "    lane_count: Small | None = None\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package, whose links have one more fact."""
    shutil.copytree(ROOT / "nvtopo", tmp_path / "nvtopo", ignore=shutil.ignore_patterns("__pycache__"))
    record = tmp_path / "nvtopo" / "model" / "records" / "nvlinks.py"
    source = record.read_text(encoding="utf-8")
    assert source.count(_BEFORE) == 1
    record.write_text(source.replace(_BEFORE, _LINE + _BEFORE), encoding="utf-8")
    return tmp_path


def _run(package: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _capture(path: Path, lanes: dict[int, int]) -> str:
    capture: dict[str, Any] = json.loads(_CAPTURE.read_bytes())
    for link in capture["nvml"]["gpus"][3]["nvlinks"]:
        link["laneCount"] = lanes.get(link["link"], 2)
    path.write_text(json.dumps(capture), encoding="utf-8")
    return str(path)


def test_no_other_line_knows_of_it(package: Path, tmp_path: Path) -> None:
    whole, lacking = _capture(tmp_path / "whole.json", {}), _capture(tmp_path / "lacking.json", {7: 1})
    spec = json.loads(_run(package, "nvtopo", "dump", "--format", "json", "--from", lacking).stdout)["spec"]
    assert [(one["links"], one["laneCount"]) for one in spec["gpus"][3]["nvlinks"]] == [("0-6,8-17", 2), ("7", 1)]
    result = _run(package, "nvtopo", "diff", whole, lacking)
    assert result.stdout == "GPU3: NVLink lane count 7 2 → 7 1\n"
    assert "laneCount:" in _run(package, "nvtopo.kube.crd").stdout
