"""How large a gang a domain holds: what is lost is a finding, what is not heard from is not known."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from nvtopo.checks import capacity, seats
from nvtopo.checks.capacity import DomainNodes, Room, Seat
from nvtopo.checks.check import NodeLabels
from nvtopo.checks.cluster import Compared
from nvtopo.cluster.claims import Claim, Reading
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, Listed, Silent, fold
from nvtopo.exporters import document
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import GpuFacts
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.reports import of_graph
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import FIXTURES

NAME: Final = capacity.CHECK.id
RACK: Final = FIXTURES / "clusters" / "gb200-nvl72-rack"
Change = Callable[[Snapshot], Snapshot]


@cache
def _captures() -> Mapping[str, Snapshot]:
    files: list[Path] = sorted(RACK.glob("*.json"))
    return {file.stem: parse_capture(file.read_bytes(), file.name) for file in files}


def tray(number: int) -> str:
    return f"nvl72-r01-t{number:02}"


@cache
def _well() -> Mapping[str, NodeTopology]:
    return {name: assemble(snapshot) for name, snapshot in _captures().items()}


def rack(changes: Mapping[str, Change] | None = None, without: tuple[str, ...] = ()) -> dict[str, NodeTopology]:
    changed = {name: assemble(change(_captures()[name])) for name, change in (changes or {}).items()}
    return {name: node for name, node in (dict(_well()) | changed).items() if name not in without}


def graph(nodes: Mapping[str, NodeTopology], unreadable: Mapping[str, str] | None = None) -> ClusterGraph:
    return build(fold(Inventory(), Listed(dict(nodes), dict(unreadable or {}))))


def link_down(snapshot: Snapshot) -> Snapshot:
    return _gpu(snapshot, lambda gpu: replace(gpu, nvlinks=gpu.nvlinks[:-1]))


def partition(snapshot: Snapshot) -> Snapshot:
    def moved(gpu: GpuFacts) -> GpuFacts:
        assert gpu.fabric is not None
        return replace(gpu, fabric=replace(gpu.fabric, clique_id=7))

    return _gpu(snapshot, moved, every=True)


def mig(snapshot: Snapshot) -> Snapshot:
    return _gpu(snapshot, lambda gpu: replace(gpu, mig=True))


def _gpu(snapshot: Snapshot, change: Callable[[GpuFacts], GpuFacts], *, every: bool = False) -> Snapshot:
    assert snapshot.nvml is not None
    gpus = tuple(change(gpu) if every or gpu.index == 0 else gpu for gpu in snapshot.nvml.gpus)
    return replace(snapshot, nvml=replace(snapshot.nvml, gpus=gpus))


def outcome(room: Room) -> str:
    return room.compared.checks[NAME]


def test_a_whole_rack_passes_and_holds_a_gang_of_all() -> None:
    room = seats.room(graph(rack()))
    (domain,) = room.domains
    assert outcome(room) == "passed"
    assert (domain.nodes, domain.whole_nodes, domain.gpus, domain.usable_gpus) == (18, 18, 72, 72)
    assert (room.compared.findings, room.compared.unknown) == ((), ())


def test_three_trays_that_are_not_ready_leave_room_for_60() -> None:
    out = tuple(map(tray, (1, 5, 9)))
    room = seats.room(graph(rack(dict.fromkeys(out, link_down))))
    (finding,) = room.compared.findings
    (domain,) = room.domains
    assert (outcome(room), finding.severity) == ("failed", "warning")
    assert (domain.whole_nodes, domain.gpus, domain.usable_gpus) == (15, 72, 60)
    assert domain.left_out == {"not ready: nvlinks-missing": out}
    assert "no gang larger than 60 of 72 GPUs fits: 15 of 18 nodes may be used whole" in finding.evidence
    assert all(name in finding.evidence for name in out)


def test_a_node_that_is_not_heard_from_is_neither_room_nor_lost() -> None:
    inventory = fold(fold(Inventory(), Listed(dict(rack()), {})), Silent({tray(4): None}))
    room = seats.room(build(inventory))
    (unknown,) = room.compared.unknown
    assert (outcome(room), room.compared.findings) == ("unknown", ())
    assert room.domains[0].unknown == {"stale": (tray(4),)}
    assert "a gang of 68 fits" in unknown.reason


@pytest.mark.parametrize("lost", [(tray(4),), (tray(17),), (tray(0), tray(17))])
def test_a_tray_from_which_no_node_is_known_is_not_known(lost: tuple[str, ...]) -> None:
    room = seats.room(graph(rack(without=lost)))
    assert (outcome(room), room.compared.findings) == ("unknown", ())
    assert len(room.domains[0].unknown) == 1


def test_a_node_that_can_t_be_read_is_not_known_where_others_say_that_it_is_in_the_domain() -> None:
    (domain,) = (one.id for one in graph(rack()).domains.values() if one.tier == "nvlinkDomain")
    claim = Claim(tray(4), "nvlinkDomain", domain, "file")
    listed = fold(Inventory(), Listed(rack(without=(tray(4),)), {tray(4): "of another version"}))
    room = seats.room(build(listed, None, {"file": Reading(claims=(claim,))}))
    assert (outcome(room), room.domains[0].gpus) == ("unknown", None)
    assert (tray(4),) in room.domains[0].unknown.values()


def test_links_that_mig_hides_are_not_known() -> None:
    room = seats.room(graph(rack({tray(2): mig})))
    assert (outcome(room), room.domains[0].usable_gpus) == ("unknown", 68)


def test_what_is_lost_outweighs_what_is_not_known() -> None:
    room = seats.room(graph(rack({tray(1): link_down}, without=(tray(4),))))
    assert outcome(room) == "failed"
    assert len(room.compared.unknown) == 1
    assert "is known to fit" in room.compared.findings[0].evidence


def _objects(name: str, labels: NodeLabels) -> dict[str, NodeLabels]:
    return {one: NodeLabels({}, ready="True") for one in _captures()} | {name: labels}


@pytest.mark.parametrize(
    ("labels", "due", "severity"),
    [
        (NodeLabels({}, cordoned=True), "failed", "info"),
        (NodeLabels({}, ready="False"), "failed", "warning"),
        (NodeLabels({}, ready="Unknown"), "unknown", None),
        (NodeLabels(None), "unknown", None),
        (NodeLabels({}, ready="True"), "passed", None),
        (NodeLabels({}, {"nvidia.com/gpu": "2"}, ready="True"), "failed", "warning"),
        (NodeLabels({}, {"nvidia.com/gpu": "0"}, ready="True"), "failed", "warning"),
        (NodeLabels({}, {"nvidia.com/gpu": "40"}, ready="True"), "passed", None),
        (NodeLabels({}, {"cpu": "4"}, ready="True"), "passed", None),
        (NodeLabels({}, {"nvidia.com/gpu": "9" * 5000}, ready="True"), "passed", None),
    ],
)
def test_what_the_node_object_says_counts(labels: NodeLabels, due: str, severity: str | None) -> None:
    room = seats.room(graph(rack()), _objects(tray(3), labels))
    assert outcome(room) == due
    assert [one.severity for one in room.compared.findings] == ([severity] if severity else [])


def test_gpus_that_no_device_plugin_offers_are_no_room() -> None:
    (domain,) = seats.room(graph(rack()), _objects(tray(3), NodeLabels({}, {"nvidia.com/gpu": "1"}))).domains
    assert (domain.gpus, domain.usable_gpus) == (72, 69)
    assert domain.left_out == {"its Node offers 1 of 4 GPUs": (tray(3),)}


def test_two_partitions_of_one_rack_are_whole() -> None:
    room = seats.room(graph(rack(dict.fromkeys(map(tray, range(9)), partition))))
    assert outcome(room) == "passed"
    assert [(domain.tier, domain.usable_gpus) for domain in room.domains] == [
        ("nvlinkDomain", 36),
        ("nvlinkDomain", 36),
        ("rack", 72),
    ]


def test_a_leaf_says_how_many_of_its_nvlink_domains_are_whole() -> None:
    well = Seat(4, 4)
    names = ("a", "b", "c", "d")
    places = (
        DomainNodes("nvlinkDomain", "one", names[:2]),
        DomainNodes("nvlinkDomain", "two", names[2:]),
        DomainNodes("leaf", "l", names),
    )
    room = capacity.of(places, dict.fromkeys(names, well) | {"d": Seat(4, 3, "1 of 4 GPUs may not be used")})
    leaf = room.domains[-1]
    assert (leaf.nvlink_domains, leaf.whole_nvlink_domains, leaf.usable_gpus) == (2, 1, 15)
    assert [(one.subject, one.severity) for one in room.compared.findings] == [
        ("NVLink domain two", "warning"),
        ("leaf l", "info"),
    ]


def test_a_domain_of_the_same_nodes_and_one_of_a_single_node_say_nothing() -> None:
    places = (
        DomainNodes("nvlinkDomain", "one", ("a", "b")),
        DomainNodes("rack", "r", ("a", "b")),
        DomainNodes("leaf", "l", ("a",)),
    )
    room = capacity.of(places, {"a": Seat(4, 4), "b": Seat(4, 4)})
    assert [domain.tier for domain in room.domains] == ["nvlinkDomain"]


def test_nodes_without_gpus_are_not_counted() -> None:
    room = capacity.of((DomainNodes("leaf", "l", ("a", "b", "cpu")),), {"a": Seat(8, 8), "b": Seat(8, 8)})
    assert room.domains[0].nodes == 2
    assert outcome(capacity.of((), {})) == "not-applicable"


def _served(made: ClusterGraph) -> Room:
    report = of_graph.of_document(document.decode(document.encode(document.of(made))))
    mine = tuple(one for one in report.findings if one.id == NAME)
    unknown = tuple(one for one in report.unknown if one.id == NAME)
    return Room(Compared(mine, unknown, report.checks), report.capacity)


@pytest.mark.parametrize(
    "nodes",
    [rack, lambda: rack({tray(1): link_down}), lambda: rack(without=(tray(4),))],
    ids=["whole", "not ready", "silent"],
)
def test_an_aggregator_s_graph_says_as_much(nodes: Callable[[], dict[str, NodeTopology]]) -> None:
    made = graph(nodes())
    here, there = seats.room(made), _served(made)
    assert (outcome(here), here.domains[0].usable_gpus) == (outcome(there), there.domains[0].usable_gpus)
    assert here.domains[0].whole_nodes == there.domains[0].whole_nodes


def test_a_stale_node_of_an_aggregator_s_graph_is_not_known() -> None:
    made = build(fold(fold(Inventory(), Listed(rack(), {})), Silent({tray(4): None})))
    there = _served(made)
    assert (outcome(there), there.domains[0].unknown) == ("unknown", {"stale": (tray(4),)})
