"""The formats of ``dump`` that show a whole machine at once, as files; of a few machines that differ in shape.

The other pages of all machines are in ``test_hosts``; here all machines are drawn, and their matrices read back.
"""

from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from nvtopo.model.conclusions import names
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import Derived, derive
from nvtopo.model.conclusions.hierarchy import functions_of
from nvtopo.model.observation import Observation
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.document import nccl
from nvtopo.sinks.document.node import node_yaml
from nvtopo.sinks.metrics.observation import families
from nvtopo.sinks.metrics.series import text
from nvtopo.sinks.picture import dot, svg
from nvtopo.sinks.text import matrix, tree
from nvtopo.sources.capture import parse_capture
from nvtopo.sources.foreign import smi_topo
from nvtopo.sources.foreign.given import Given
from tests import golden
from tests.hosts.recorded import FIXTURES
from tests.hosts.recorded import HOSTS as ALL

#: Switches with NICs on two sockets, and host bridges without switches in a rack.
HOSTS: Final = tuple(FIXTURES / "hosts" / name for name in ("gb200-nvl72-tray", "h100-sxm-8gpu-8cx7"))

_SOME = pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])
_ALL = pytest.mark.parametrize(
    "host", [pytest.param(host, id=host.name, marks=() if host in HOSTS else pytest.mark.slow) for host in ALL]
)


class Machine(NamedTuple):
    snapshot: Snapshot
    node: NodeTopology
    derived: Derived


@pytest.fixture
def machine(host: Path) -> Machine:
    snapshot = parse_capture((host / "capture.json").read_bytes(), host.name)
    node = assemble(snapshot)
    return Machine(snapshot, node, derive(node))


@_SOME
def test_tree(host: Path, machine: Machine) -> None:
    text = tree.render(machine.node, machine.derived, functions_of(machine.snapshot))
    golden.check(text, host / "expected" / "tree.txt")


@_SOME
def test_tree_with_branches(host: Path, machine: Machine) -> None:
    text = tree.render(machine.node, machine.derived, functions_of(machine.snapshot), tree.BOX)
    golden.check(text, host / "expected" / "tree-terminal.txt")


@_SOME
def test_yaml(host: Path, machine: Machine) -> None:
    golden.check(node_yaml(machine.node, machine.derived), host / "expected" / "topology.yaml")


@_SOME
def test_nccl(host: Path, machine: Machine) -> None:
    golden.check(nccl.render(machine.node, functions_of(machine.snapshot)), host / "expected" / "nccl.xml")


@_SOME
def test_dot(host: Path, machine: Machine) -> None:
    text = dot.render(machine.node, machine.derived, functions_of(machine.snapshot))
    golden.check(text, host / "expected" / "topology.dot")


@_SOME
def test_svg(host: Path, machine: Machine) -> None:
    text = svg.render(machine.node, machine.derived, functions_of(machine.snapshot))
    golden.check(text, host / "expected" / "topology.svg")


@_SOME
def test_metrics_are_on_the_agent_s_page(host: Path, machine: Machine) -> None:
    observation = Observation(*machine, seconds=0.25, at_seconds=1_800_000_000)
    page = (host / "expected" / "metrics.prom").read_text(encoding="utf-8").splitlines()
    assert set(text(families(observation)).splitlines()) <= set(page)


@_ALL
def test_every_machine_has_every_picture(machine: Machine) -> None:
    functions = functions_of(machine.snapshot)
    picture = ET.fromstring(svg.render(machine.node, machine.derived, functions))  # noqa: S314 - our own
    assert picture.get("role") == "img"
    file = ET.fromstring(nccl.render(machine.node, functions))  # noqa: S314 - our own
    assert len(list(file.iter())) <= nccl.MOST_ELEMENTS
    assert len(list(file.iter("gpu"))) == len(machine.node.gpus)
    assert "GPU0" in tree.render(machine.node, machine.derived, functions) or not machine.node.gpus
    assert dot.render(machine.node, machine.derived, functions).count("{") >= 1


@_ALL
def test_every_machine_s_matrix_is_read_back(machine: Machine) -> None:
    if not machine.node.gpus:
        return
    found = derive(smi_topo.read(Given(matrix.render(machine.node, machine.derived).encode(), "matrix")))
    # A matrix without GPU5 is that of a job which does not see it: what joins the others is not known.
    whole = [gpu.index for gpu in machine.node.gpus] == list(range(len(machine.node.gpus)))
    assert found.nvlink_groups == (machine.derived.nvlink_groups if whole else None)
    assert found.nvlink_full_mesh == (machine.derived.nvlink_full_mesh if whole else None)
    assert list(map(names.link, found.gpu_pairs)) == list(map(names.link, machine.derived.gpu_pairs))
    levels = {key: nearest.level for key, nearest in machine.derived.nearest_nics.items()}
    assert {key: nearest.level for key, nearest in found.nearest_nics.items()} == levels
    assert (found.numa, found.cpu_affinity) == (machine.derived.numa, machine.derived.cpu_affinity)
