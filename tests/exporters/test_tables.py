"""Tables of the graph: every state has its words, and what is not known is no number."""

from nvtopo.cluster.events import Applied, Deleted, Event
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Inventory, Listed, fold_all
from nvtopo.exporters import document, selection, tables
from nvtopo.exporters.change_records import step
from nvtopo.exporters.selection import Selection
from tests.cluster import machines
from tests.exporters.test_selection import fleet


def test_nodes_with_the_tiers_that_there_are() -> None:
    lines = tables.nodes(document.of(fleet())).splitlines()
    assert lines[0].split() == ["NODE", "GPUS", "HEALTH", "TRAY", "NVLINKDOMAIN", "RACK", "LEAF", "SPINE", "PROBLEMS"]
    rows = {line.split()[0]: line.split() for line in lines[1:]}
    assert rows["r001-t00"][1:5] == ["4", "4", "ok", "0"]
    assert rows["torn"][1:] == ["?", "?", "-", "-", "-", "-", "-", "1"]


def test_domains_and_findings() -> None:
    leaves = selection.of_document(document.of(fleet()), Selection(tier="leaf"))
    assert [line.split()[:1] for line in tables.domains(leaves).splitlines()] == [["TIER"], ["leaf"], ["leaf"]]
    drift = tables.drift(document.of(fleet())).splitlines()
    assert len(drift) == 1 + len(fleet().drift)
    assert any("r001-t03,twin" in line for line in drift)


def test_names_of_other_machines_move_no_cursor() -> None:
    evil = document.of(machines.graph({"a\x1b[2J": machines.tray(1)}))
    assert "\x1b" not in tables.nodes(evil) + tables.domains(evil) + tables.drift(evil)


def test_what_changed_line_by_line() -> None:
    inventory = fold_all(Inventory(), [Listed(machines.racks(1, trays=3))])
    before = build(inventory)
    ill = machines.changed(machines.tray(1, 1), 2, nvlinks=(machines.bundle(state="inactive"),))
    events: list[Event] = [Applied(machines.name(1, 1), ill), Deleted(machines.name(1, 2))]
    lines = tables.changed(step(before, build(fold_all(inventory, events), before))).splitlines()
    assert lines[0] == "generation 3"
    assert lines[1].startswith("  node r001-t01: 4 GPUs, 3 ok, 1 ")
    assert lines[2] == "  node r001-t02: gone"
    assert lines[3].endswith("2 nodes")
    assert any(line.startswith("  + nvlinks-missing r001-t01: ") for line in lines)
