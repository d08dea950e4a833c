"""Debian's slurmctld and slurmd read what is exported for Slurm, and answer what was meant.

It is Slurm 22.05: ``topology/block`` is from 23.11 and ``topology.yaml`` from 25.05. What it can't read is held by
golden files, and by readers of ours that know Slurm's rules (``test_slurm_s_rules_hold``, ``make cases``).
"""

import re
from pathlib import Path
from typing import Final

import pytest

from nvtopo.exporters.schedulers import kinds, slurm
from nvtopo.exporters.schedulers.slurm_kept import Switch
from tests.exporters import clusters
from tests.exporters.slurm_programs import Slurm, missing
from tests.lab.process import LabError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing(), reason="Slurm is not installed (Debian: slurmctld, slurm-client, slurmd)"),
]

_GPU: Final = re.compile(r"Gres Name=gpu Type=(\S+) Count=1 .* File=(\S+) Links=(\S+)")
#: Files stand for devices here, which slurmd says and then goes on.
_NO_DEVICE: Final = "is not a valid character or block device, fix your gres.conf"


def meant(switches: list[Switch]) -> dict[str, tuple[int, frozenset[str], frozenset[str]]]:
    """What ``scontrol show topology`` has to answer: the farthest switches come first, so it is filled from the end."""
    found: dict[str, tuple[int, frozenset[str], frozenset[str]]] = {}
    for switch in reversed(switches):
        below = [found[name] for name in switch.switches]
        level = 1 + max((level for level, _nodes, _switches in below), default=-1)
        nodes = frozenset(switch.nodes).union(*(nodes for _level, nodes, _switches in below))
        found[switch.name] = (level, nodes, frozenset(switch.switches))
    return found


@pytest.mark.parametrize("name", clusters.CLUSTERS)
def test_slurmctld_has_the_tree_that_was_exported(name: str, tmp_path: Path) -> None:
    export = clusters.CLUSTERS[name]()
    expected = meant(slurm.switches(export.view))
    system = Slurm(tmp_path, dict.fromkeys(export.view.nodes, ""))
    (tmp_path / "topology.conf").write_text(kinds.text("slurm-tree", export), encoding="utf-8")
    with system.controller() as child:
        assert system.switches() == expected
        lost = {*export.view.nodes} - frozenset().union(*(nodes for _level, nodes, _switches in expected.values()))
        said = [line for line in child.log.read_text().splitlines() if "error" in line and "switch" in line.lower()]
    assert len(said) == bool(lost), "that switches do not reach the nodes without a place, and nothing else"
    assert all("lack access" in line for line in said)


def test_slurmctld_refuses_a_tree_with_a_switch_that_is_not_there(tmp_path: Path) -> None:
    export = clusters.small()
    text = kinds.text("slurm-tree", export)
    leaf = next(line for line in text.splitlines() if " Nodes=" in line)
    (tmp_path / "topology.conf").write_text(text.replace(f"{leaf}\n", ""), encoding="utf-8")
    with (
        pytest.raises(LabError, match="ended with"),
        Slurm(tmp_path, dict.fromkeys(export.view.nodes, "")).controller(),
    ):
        pass


@pytest.mark.parametrize("name", ["nvl72", "hgx", "edge"])
def test_slurmd_has_the_gpus_and_links_that_were_exported(name: str, tmp_path: Path) -> None:
    """Without ``Cores``, which slurmd looks for on the machine it runs on: golden files hold them."""
    export = clusters.CLUSTERS[name]()
    text = re.sub(r" Cores=\S+", "", kinds.text("slurm-gres", export)).replace("File=/dev/", f"File={tmp_path}/")
    (tmp_path / "gres.conf").write_text(text, encoding="utf-8")
    for number in range(8):
        (tmp_path / f"nvidia{number}").touch()
    wanted: dict[str, list[dict[str, str]]] = {}
    for line in text.splitlines()[1:]:
        words = dict(word.partition("=")[::2] for word in line.split())
        for node in Slurm(tmp_path, {}).expanded(words["NodeName"]):
            wanted.setdefault(node, []).append(words)
    shapes = {str([{**line, "NodeName": ""} for line in lines]): node for node, lines in wanted.items()}
    assert shapes
    system = Slurm(tmp_path, {node: f"gpu:{lines[0]['Type']}:{len(lines)}" for node, lines in wanted.items()})
    for node in shapes.values():
        done = system.run("slurmd", "-G", "-N", node)
        said = [line for line in done.stderr.splitlines() if "error" in line and _NO_DEVICE not in line]
        assert (done.returncode, said) == (0, [])
        found = [match.groups() for line in done.stderr.splitlines() if (match := _GPU.search(line))]
        lines = [(one["Type"], one["File"], one["Links"]) for one in wanted[node]]
        assert found == lines
