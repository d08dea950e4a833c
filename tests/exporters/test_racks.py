from pathlib import Path

import pytest
from rich.console import Console

from nvtopo.exporters import document, racks
from nvtopo.model.node import NodeTopology
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


def test_colour_adds_nothing_to_the_text(troubled: document.GraphDocument) -> None:
    coloured = racks.rich_text(troubled).plain
    assert [line.rstrip() for line in coloured.splitlines()] == racks.render(troubled).splitlines()


def test_a_terminal_gets_colours(troubled: document.GraphDocument) -> None:
    console = Console(force_terminal=True, color_system="standard", width=200)
    with console.capture() as capture:
        console.print(racks.rich_text(troubled), end="")
    assert "\x1b[32m■" in capture.get()


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
