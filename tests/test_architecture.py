"""The layer contract of setup.cfg: kept, and shown to bite."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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
        (
            "sources/linux/pci.py",
            "import nvtopo.sinks.publish.nfd",
            "nvtopo.sources.linux.pci -> nvtopo.sinks.publish.nfd",
        ),
        ("model/conclusions/locality.py", "import os", "nvtopo.model.conclusions.locality -> os"),
        ("findings/finding.py", "import nvtopo.cluster.graph", "findings.finding -> nvtopo.cluster.graph"),
        ("findings/expectation.py", "import os", "nvtopo.findings.expectation -> os"),
        ("auth/verdicts.py", "import time", "nvtopo.auth.verdicts -> time"),
        ("auth/authorizer.py", "import nvtopo.agent", "nvtopo.auth.authorizer -> nvtopo.agent"),
        ("kube/client.py", "import nvtopo.auth.reviews", "nvtopo.kube.client -> nvtopo.auth.reviews"),
        ("auth/verdicts.py", "import nvtopo.model.records.node", "nvtopo.auth.verdicts -> nvtopo.model.records.node"),
        ("cluster/drift.py", "import threading", "nvtopo.cluster.drift -> threading"),
        ("cluster/graph.py", "import asyncio", "nvtopo.cluster.graph -> asyncio"),
        ("dra/publisher.py", "import nvtopo.sources.sysfs", "nvtopo.dra.publisher -> nvtopo.sources.sysfs"),
        ("cluster/graph.py", "import time", "nvtopo.cluster.graph -> time"),
        ("model/records/node.py", "import nvtopo.kube.client", "nvtopo.model.records.node -> nvtopo.kube.client"),
        ("exporters/racks.py", "import kubernetes", "nvtopo.exporters.racks -> kubernetes"),
        (
            "model/records/facts/nvml.py",
            "import nvtopo.model.conclusions.rails",
            "facts.nvml -> nvtopo.model.conclusions",
        ),
        (
            "model/conclusions/rails.py",
            "import nvtopo.model.changes.topology",
            "rails -> nvtopo.model.changes",
        ),
        (
            "model/changes/topology.py",
            "import nvtopo.model.observation",
            "changes.topology -> nvtopo.model.observation",
        ),
        ("sources/rdma/verbs.py", "import nvtopo.sources.linux.pci", "sources.rdma.verbs -> nvtopo.sources.linux.pci"),
        ("sources/linux/watch.py", "import nvtopo.kube.client", "sources.linux.watch -> nvtopo.kube.client"),
        ("sinks/text/words.py", "import nvtopo.sinks.picture.svg", "sinks.text.words -> nvtopo.sinks.picture.svg"),
        ("kube/election.py", "import time", "nvtopo.kube.election -> time"),
        ("dra/publish_policy.py", "import time", "nvtopo.dra.publish_policy -> time"),
        ("kube/own_slices.py", "import nvtopo.dra.claims", "nvtopo.kube.own_slices -> nvtopo.dra.claims"),
        ("agent/delivery_policy.py", "import threading", "nvtopo.agent.delivery_policy -> threading"),
        ("sinks/text/matrix.py", "import socket", "nvtopo.sinks.text.matrix -> socket"),
        ("sinks/picture/svg.py", "import nvtopo.kube.client", "nvtopo.sinks.picture.svg -> nvtopo.kube.client"),
        ("agent/parts/pods.py", "import nvtopo.agent.http.server", "parts.pods -> nvtopo.agent.http.server"),
        ("runtime/wakeup.py", "import nvtopo.model.records.record", "runtime.wakeup -> nvtopo.model.records.record"),
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
