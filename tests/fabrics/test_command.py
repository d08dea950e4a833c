"""``nvtopo graph --from`` as people and programs call it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fabrics.ibfabric import Shape, host, text, wired
from tests.fabrics.test_files import TREE

pytestmark = pytest.mark.slow


def graph(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "nvtopo", "graph", *arguments], capture_output=True, text=True, check=False
    )


def test_leaf_groups_rails_and_missing_cables_as_json(tmp_path: Path) -> None:
    fabric = wired(Shape(racks=2, hosts=3, rails=2, spines=2))
    gone = fabric.host_cables()[0]
    (tmp_path / "ib.txt").write_text(text(fabric.without(gone)))
    done = graph("--from", str(tmp_path / "ib.txt"), "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    leaves = {name: node["tiers"]["leaf"] for name, node in document["nodes"].items()}
    assert len(leaves) == 6
    assert all((leaves[host(0, 0)] == leaf) == name.startswith("node-0") for name, leaf in leaves.items())
    assert document["nodes"][host(1, 0)]["rails"][1]["rail"] == 1
    missing = [{edge["a"], edge["b"]} for edge in document["edges"] if not edge["present"]]
    assert missing == [set(fabric.names(gone))]
    assert [finding["id"] for finding in document["drift"]] == ["cable-missing"]
    racks = graph("--from", str(tmp_path / "ib.txt")).stdout
    assert "not readable" not in racks
    assert "has no cable to sw-k0-r0" in racks


def test_a_file_that_is_refused_is_one_line_and_exit_3(tmp_path: Path) -> None:
    file = tmp_path / "topology.conf"
    file.write_text(TREE + "SwitchName=s1 Nodes=n9\n")
    done = graph("--from", str(file), "--format", "json")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"nvtopo: {file}: expected each switch once, s1 is defined twice\n"
