"""The layer contract of setup.cfg: kept, and shown to bite."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contract, to be broken."""
    shutil.copytree(ROOT / "nvtopo", tmp_path / "nvtopo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    return tmp_path


def contract(root: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as command; command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo"],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_contract_is_kept(copy: Path) -> None:
    result = contract(copy)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "says"),
    [
        ("sources/pci.py", "import nvtopo.sinks.nfd", "nvtopo.sources.pci -> nvtopo.sinks.nfd"),
        ("model/locality.py", "import os", "nvtopo.model.locality -> os"),
        ("cluster/graph.py", "import time", "nvtopo.cluster.graph -> time"),
        ("model/node.py", "import nvtopo.kube.client", "nvtopo.model.node -> nvtopo.kube.client"),
        ("exporters/racks.py", "import kubernetes", "nvtopo.exporters.racks -> kubernetes"),
    ],
)
def test_a_forbidden_import_breaks_it(copy: Path, module: str, line: str, says: str) -> None:
    path = copy / "nvtopo" / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    result = contract(copy)
    assert result.returncode == 1
    assert says in result.stdout


def test_a_module_that_nobody_placed_breaks_it(copy: Path) -> None:
    (copy / "nvtopo" / "helpers.py").write_text('"""Things."""\n', encoding="utf-8")
    result = contract(copy)
    assert result.returncode == 1
    assert "nvtopo.helpers" in result.stdout
