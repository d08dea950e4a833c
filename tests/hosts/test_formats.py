"""The formats of ``dump`` that show a whole machine at once, as files; of a few machines that differ in shape.

The other pages of all machines are in ``test_hosts``.
"""

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from nvtopo.model.assemble import assemble
from nvtopo.model.derive import Derived, derive
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot
from nvtopo.sinks import dot, nccl, svg, tree
from nvtopo.sinks.document import node_yaml
from nvtopo.sinks.hierarchy import functions_of
from nvtopo.sinks.metrics import Observation
from nvtopo.sinks.metrics_page import page
from nvtopo.sources.capture import parse_capture
from tests import golden
from tests.hosts.recorded import FIXTURES

#: Switches with NICs on two sockets, and host bridges without switches in a rack.
HOSTS: Final = tuple(FIXTURES / "hosts" / name for name in ("gb200-nvl72-tray", "h100-sxm-8gpu-8cx7"))

pytestmark = pytest.mark.parametrize("host", HOSTS, ids=[host.name for host in HOSTS])


class Machine(NamedTuple):
    snapshot: Snapshot
    node: NodeTopology
    derived: Derived


@pytest.fixture
def machine(host: Path) -> Machine:
    snapshot = parse_capture((host / "capture.json").read_bytes(), host.name)
    node = assemble(snapshot)
    return Machine(snapshot, node, derive(node))


def test_tree(host: Path, machine: Machine) -> None:
    text = tree.render(machine.node, machine.derived, functions_of(machine.snapshot))
    golden.check(text, host / "expected" / "tree.txt")


def test_tree_with_branches(host: Path, machine: Machine) -> None:
    text = tree.render(machine.node, machine.derived, functions_of(machine.snapshot), tree.BOX)
    golden.check(text, host / "expected" / "tree-terminal.txt")


def test_yaml(host: Path, machine: Machine) -> None:
    golden.check(node_yaml(machine.node, machine.derived), host / "expected" / "topology.yaml")


def test_nccl(host: Path, machine: Machine) -> None:
    golden.check(nccl.render(machine.node, functions_of(machine.snapshot)), host / "expected" / "nccl.xml")


def test_dot(host: Path, machine: Machine) -> None:
    text = dot.render(machine.node, machine.derived, functions_of(machine.snapshot))
    golden.check(text, host / "expected" / "topology.dot")


def test_svg(host: Path, machine: Machine) -> None:
    text = svg.render(machine.node, machine.derived, functions_of(machine.snapshot))
    golden.check(text, host / "expected" / "topology.svg")


def test_metrics_are_the_agent_s_page(host: Path, machine: Machine) -> None:
    observation = Observation(*machine, seconds=0.25, at_seconds=1_800_000_000)
    assert page(observation).decode() == (host / "expected" / "metrics.prom").read_text(encoding="utf-8")
