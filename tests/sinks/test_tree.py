"""The tree, where the recorded machines are too healthy to show it."""

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.hierarchy import functions_of, hierarchy
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sinks.text import tree
from nvtopo.sources.foreign import smi_topo
from nvtopo.sources.foreign.given import Given
from tests.model.machines import gpu, hca, machine, to_switch

_STATED = b"""\
\tGPU0\tGPU1\tGPU2\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity
GPU0\t X \tPIX\tSYS\tPXB\tSYS\t0-3\t0
GPU1\tPIX\t X \tSYS\tPXB\tSYS\t0-3\t0
GPU2\tSYS\tSYS\t X \tSYS\tPHB\t4-7\t1
NIC0\tPXB\tPXB\tSYS\t X \tSYS
NIC1\tSYS\tSYS\tPHB\tSYS\t X
"""


def _tree(snapshot: Snapshot, glyphs: tree.Glyphs = tree.PLAIN, style: tree.Style = tree.plain) -> str:
    node = assemble(snapshot)
    return tree.render(node, derive(node), functions_of(snapshot), glyphs, style)


def _lines(node: NodeTopology) -> list[str]:
    return tree.render(node, derive(node), {}).splitlines()


def test_a_narrow_link_and_links_that_are_down_are_said() -> None:
    links = tuple(to_switch(link, active=link != 1) for link in range(3))
    narrow = replace(gpu(0, *links), link=PcieLink(max_generation=5, generation=1, width=8, max_width=16))
    line = next(line for line in _tree(machine(narrow)).splitlines() if "GPU0" in line)
    assert "Gen5 x8 of x16" in line
    assert "2 of 3 NVLinks 4.0, link 1 inactive" in line


def test_moods_are_for_what_needs_a_look() -> None:
    marked = _tree(
        machine(gpu(0, to_switch(0), to_switch(1, active=False)), hcas=(hca(0, switch=0),)),
        style=lambda t, m: f"<{m}>{t}",
    )
    assert "<warn>GPU0" in marked
    assert "<ok>mlx5_0" in marked


def test_a_pipe_gets_blanks_and_a_terminal_branches() -> None:
    snapshot = machine(gpu(0), gpu(1), hcas=(hca(0, switch=0),))
    plain, boxed = _tree(snapshot), _tree(snapshot, tree.BOX)
    assert plain.isascii()
    assert "└─ " in boxed
    assert [line.split() for line in plain.splitlines()] == [line.strip("│├└─ ").split() for line in boxed.splitlines()]


def test_levels_that_another_tool_states_are_groups() -> None:
    parts = hierarchy(smi_topo.read(Given(_STATED, "topo")), {})
    assert [part.number for part in parts] == [0, 1]
    chain = parts[0].bridges[0].branches[0]
    assert [[device.name or "GPU" for device in switch.devices] for switch in chain.branches] == [
        ["GPU", "GPU"],
        ["NIC0"],
    ]
    assert not parts[1].bridges[0].branches
    assert [line.strip() for line in _lines(smi_topo.read(Given(_STATED, "topo"))) if "switch" in line] == [
        "switch"
    ] * 3
