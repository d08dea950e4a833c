"""Topology files of ibdiagnet and UFM as expected cabling, against what ibnetdiscover sees."""

import pytest

from nvtopo.cluster.claims import Reading
from nvtopo.fabrics import topo_file
from nvtopo.fabrics.expected import Expected
from nvtopo.fabrics.refused import Refused
from tests.fabrics import ibfabric
from tests.fabrics.ibfabric import Shape, Wired, wired
from tests.fabrics.reading import evidence, read_files

SMALL = Shape(racks=2, hosts=3, rails=2)
PLAN = """
# how it should be
MQM9700 leaf-1
    P2 -4x-50G-> HCA_mlx5_3 gpu04 mlx5_0/P1
    P3 -> HCA_mlx5_3 gpu04 mlx5_1/P1
    P1/2 -4x-100G-> HCA_mlx5_5 gpu05 mlx5_0/P1
    P62 -4x-100G-> MQM9700 spine-1 P40

MQM9700 spine-1 CFG: leaf3=R
    P40 -4x-100G-> MQM9700 leaf-1 P62

MT23108 H-1
    P1 -> MTS2400 leaf-2 P7
    P2 -> MT23108 H-2 P1
"""


def test_each_cable_is_expected_once_whichever_end_names_it() -> None:
    assert topo_file.looks_like(PLAN)
    assert topo_file.read(PLAN) == [
        Expected("gpu04", "mlx5_0", "leaf-1", "2", ""),
        Expected("gpu04", "mlx5_1", "leaf-1", "3", ""),
        Expected("gpu05", "mlx5_0", "leaf-1", "", ""),
        Expected("", "", "leaf-1", "", "spine-1"),
        Expected("H-1", "", "leaf-2", "7", ""),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P1 -> MT23108 H-1 P1\n",
        "digraph {\n a -> b [label=x]\n}",
        "kind: Topology\nnodes:\n- a -> b c d\n",
        "SwitchName=s1 Nodes=n[1-2]\n",
        "a b\nsome words\n",
    ],
)
def test_other_texts_are_not_taken_for_one(text: str) -> None:
    assert not topo_file.looks_like(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P1 -> A b P1\n", "above the cable in line 1"),
        ("A b\nP1 -> B c P1\nwhat is this line\n", "in line 3"),
        ("MT23108 a\nP1 -> MT23108 b P1\n", "found none"),
        ("MTS2400 a\nP1 -> MTS2400 a P2\n", "found none"),
    ],
)
def test_what_is_none_of_the_format_is_refused_with_the_line(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        topo_file.read(text)


def test_a_fabric_that_is_as_its_plan_has_no_finding_and_one_that_lacks_a_cable_names_it() -> None:
    fabric = wired(SMALL)
    assert said(fabric, plan(fabric)) == []
    gone = fabric.host_cables()[0]
    missing = [words for words in said(fabric.without(gone), plan(fabric)) if "which is expected" in words]
    host, leaf = fabric.names(gone)
    assert len(missing) == 1
    assert host.split()[0] in missing[0]
    assert leaf in missing[0]


def said(fabric: Wired, plan_: str) -> list[str]:
    readings: dict[str, Reading] = read_files({"now": ibfabric.text(fabric), "plan.topo": plan_})
    assert all(reading.refused is None for reading in readings.values())
    return [words for reading in readings.values() for words in evidence(reading)]


def plan(fabric: Wired) -> str:
    """The plan that this fabric is built to."""
    sections: dict[str, list[str]] = {}
    for cable in fabric.host_cables():
        (host, _), (leaf, port) = cable if cable[0][0].startswith("H") else cable[::-1]
        node, nic = fabric.said[host].split()
        name = fabric.names(cable)[1]
        sections.setdefault(name, []).append(f"    P{port} -4x-100G-> HCA_x {node} {nic}/P1")
        assert leaf
    return "\n".join(f"MQM9700 {name}\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
