from pathlib import Path

import pytest

from nvtopo.exporters import document, racks
from nvtopo.model.records.node import NodeTopology
from tests import golden
from tests.cluster import machines

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(name="troubled", scope="module")
def _troubled() -> document.GraphDocument:
    return document.of(machines.troubled())


def test_racks_of_a_troubled_cluster(troubled: document.GraphDocument) -> None:
    golden.check(racks.render(troubled), GOLDEN / "troubled.racks.txt")


def test_document_of_a_troubled_cluster(troubled: document.GraphDocument) -> None:
    golden.check(document.pretty(troubled), GOLDEN / "troubled.graph.json")


def test_a_healthy_rack_needs_no_legend() -> None:
    golden.check(racks.render(document.of(machines.graph(machines.racks(1)))), GOLDEN / "healthy.racks.txt")


def test_an_empty_cluster_says_so() -> None:
    assert racks.render(document.of(machines.graph({}))).startswith("0 nodes · 0 GPUs · 0 NVLink domains")


def test_a_style_adds_nothing_but_itself_and_no_line_ends_in_blanks(troubled: document.GraphDocument) -> None:
    looks = set()

    def style(text: str, look: str) -> str:
        looks.add(look)
        return f"<{text}>"

    styled = racks.render(troubled, style)
    assert styled.replace("<", "").replace(">", "") == racks.render(troubled)
    assert not any(line.rstrip(">").endswith(" ") for line in styled.splitlines())
    assert looks >= {"ok", "degraded", "registering", "fault", "unknown", "head", "quiet", "trouble"}


def test_a_name_cannot_steer_the_terminal() -> None:
    text = racks.render(document.of(machines.graph({"evil\x1b[2J\n": NodeTopology()})))
    assert "\x1b" not in text
    assert "evil\N{REPLACEMENT CHARACTER}[2J" in text


def test_two_racks_in_one_domain_are_told_apart() -> None:
    nodes = {
        machines.name(rack, number): machines.all_changed(machines.tray(rack, number), fabric=machines.fabric(1))
        for rack in (1, 2)
        for number in range(9)
    }
    text = racks.render(document.of(machines.graph(nodes)))
    assert f"  chassis {machines.serial(1)}\n  tray 00" in text
    assert f"  chassis {machines.serial(2)}\n  tray 00" in text


def test_the_document_survives_the_wire(troubled: document.GraphDocument) -> None:
    assert document.decode(document.encode(troubled)) == troubled
