"""What one node says moves no other: who holds a GPU or a place is recorded; fillers and outliers count for nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster import position, records
from nvtopo.cluster.claims import Claim, Reading
from nvtopo.cluster.events import Applied, Deleted, Event, Listed
from nvtopo.cluster.graph import ClusterGraph, build
from nvtopo.cluster.inventory import Inventory, fold_all
from nvtopo.cluster.nodes import GraphNode
from nvtopo.exporters import document
from nvtopo.model.records.node import NodeTopology
from nvtopo.placement import hosts
from tests.cluster.machines import all_changed, changed, domain_id, fabric, graph, name, racks, serial, tray

NOON = "2026-11-28T12:00:00Z"
LATER = "2026-11-28T13:00:00Z"


def with_platform(node: NodeTopology, **changes: Any) -> NodeTopology:
    """The node with something else about the place of all its GPUs."""
    return replace(
        node, gpus=tuple(replace(gpu, platform=replace(gpu.platform, **changes)) for gpu in node.gpus if gpu.platform)
    )


def own(number: int, **changes: Any) -> NodeTopology:
    """A liar's tray with GPUs of its own, at a place of its own."""
    node = tray(77, number)
    return with_platform(all_changed(node, **changes), chassis_serial=serial(77))


#: What a liar claims, of rack 1 whose trays 0 to 16 are honest.
LIES: dict[str, NodeTopology] = {
    "a copied object": tray(1, 3),
    "a GPU": changed(own(0), 2, uuid="GPU-00000001-0003-0001"),
    "a place": with_platform(own(0), chassis_serial=serial(1), slot=4, tray=3, host=1),
    "a place and the domain": with_platform(own(0, fabric=fabric(1)), chassis_serial=serial(1), slot=4, tray=3),
    "the domain with a serial that sorts first": with_platform(own(0, fabric=fabric(1)), chassis_serial="00001"),
    "the domain with a serial of zeros": with_platform(own(0, fabric=fabric(1)), chassis_serial="0"),
    "the domain with an empty serial": with_platform(own(0, fabric=fabric(1)), chassis_serial=""),
    "the domain with another's serial": with_platform(own(0, fabric=fabric(1)), chassis_serial=serial(2)),
    "a domain of its own with another's serial": with_platform(own(0), chassis_serial=serial(1)),
    "tray 2147483647": with_platform(own(0, fabric=fabric(1)), chassis_serial=serial(1), tray=2147483647),
    "tray 200": with_platform(own(0, fabric=fabric(1)), chassis_serial=serial(1), tray=200, slot=201),
    "no place": all_changed(own(0, fabric=fabric(1)), platform=None),
}
HONEST = {node: topology for node, topology in racks(2).items() if node != name(1, 17)}


def seen(node: GraphNode) -> tuple[Any, ...]:
    """What must not change."""
    return node.tiers, node.position, node.health, node.judged, node.problems, node.disputed, node.gpus


def described(built: ClusterGraph) -> dict[str, Any]:
    """The honest nodes, and their domains without the liar."""
    domains = {
        key: (one.name, one.tier, one.parent, one.chassis, one.silent, [node for node in one.nodes if node in HONEST])
        for key, one in built.domains.items()
        if not HONEST.keys().isdisjoint(one.nodes)
    }
    placed = hosts.of_graph(built).hosts
    tiers = {node: dict(placed[node].tiers) for node in HONEST}
    return {"domains": domains, "placement": tiers} | {node: seen(built.nodes[node]) for node in HONEST}


@pytest.mark.parametrize("lie", sorted(LIES))
@pytest.mark.parametrize("liar", ["aaa", "zzz"])
def test_a_liar_moves_nobody(lie: str, liar: str) -> None:
    inventory = fold_all(Inventory(), [Listed(HONEST)])
    before = build(inventory, now=NOON)
    inventory = fold_all(inventory.recorded(before.records), [Applied(liar, LIES[lie])])
    after = build(inventory, before, now=LATER)
    assert described(after) == described(before)
    relisted = fold_all(Inventory(), [Listed({liar: LIES[lie]} | HONEST, records=dict(after.records))])
    assert described(build(relisted, now=LATER)) == described(before)
    about = {node for finding in after.drift for node in finding.nodes}
    assert about <= {liar}


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ("a copied object", ["gpu-claimed-twice", "place-claimed-twice", "domain-crowded"]),
        ("the domain with another's serial", ["place-far-from-peers"]),
        ("tray 200", ["place-far-from-peers"]),
        ("tray 2147483647", ["position-differs"]),
        ("a GPU", ["gpu-claimed-twice"]),
    ],
)
def test_the_claimant_is_the_suspect(lie: str, says: list[str]) -> None:
    whole = racks(2)
    first = build(fold_all(Inventory(), [Listed(whole)]), now=NOON)
    inventory = fold_all(Inventory(), [Listed(whole | {"liar": LIES[lie]}, records=dict(first.records))])
    drift = build(inventory, now=LATER).drift
    assert {finding.finding.id for finding in drift} >= set(says)
    assert {node for finding in drift for node in finding.nodes} == {"liar"}


CLAIMANTS = {
    "a": tray(),
    "b": with_platform(changed(tray(2), 0, uuid=tray().gpus[0].uuid), chassis_serial=serial(1), slot=1),
}
STEPS = st.lists(
    st.one_of(
        st.builds(lambda node: Applied(node, CLAIMANTS[node]), st.sampled_from("ab")),
        st.builds(Deleted, st.just("b")),
        st.just("relist"),
        st.just("restart"),
    ),
    max_size=8,
)


@given(STEPS)
def test_the_recorded_holder_is_right_whatever_happens(steps: list[Event | str]) -> None:
    inventory = fold_all(Inventory(), [Listed({"a": CLAIMANTS["a"]})])
    built = alone = build(inventory, now=NOON)
    inventory = inventory.recorded(built.records)
    for step in steps:
        previous: ClusterGraph | None = built
        if step == "restart":
            inventory, previous = (
                fold_all(Inventory(), [Listed(dict(inventory.nodes), {}, dict(inventory.records))]),
                None,
            )
        elif step == "relist":
            inventory = fold_all(inventory, [Listed(dict(inventory.nodes), {}, dict(inventory.records))])
        elif not isinstance(step, str):
            inventory = fold_all(inventory, [step])
        built = build(inventory, previous, now=LATER)
        inventory = inventory.recorded(built.records)
        assert seen(built.nodes["a"]) == seen(alone.nodes["a"])
        if "b" in built.nodes:
            assert built.nodes["b"].disputed == ("GPU0", "place")
            assert set(built.nodes["b"].health.values()) == {"ok"}


@given(st.permutations(["a", "b"]))
def test_without_a_record_neither_is_harmed(order: list[str]) -> None:
    built = build(fold_all(Inventory(), [Listed({node: CLAIMANTS[node] for node in order})]), now=NOON)
    for node in ("a", "b"):
        assert set(built.nodes[node].health.values()) == {"ok"}
        assert built.nodes[node].disputed == ("GPU0", "place")
        assert built.nodes[node].judged is not None
    entry = document.of(built).nodes["a"]
    assert entry.disputed == ("GPU0", "place")
    assert all(0 not in {gpu for group in host.free for gpu in group} for host in hosts.of_graph(built).hosts.values())


def test_a_gpu_that_was_lost_for_a_while_is_still_its_own() -> None:
    without = replace(tray(), gpus=tray().gpus[1:])
    first = build(fold_all(Inventory(), [Listed({"a": tray()})]), now=NOON)
    second = build(fold_all(Inventory(), [Listed({"a": without}, {}, dict(first.records))]), now=LATER)
    third = build(
        fold_all(Inventory(), [Listed({"a": tray(), "b": CLAIMANTS["b"]}, {}, dict(second.records))]), now=LATER
    )
    assert third.nodes["a"].disputed == ()


@pytest.mark.parametrize(
    "word",
    ["0", "000000", "", "N/A", "None", "To Be Filled By O.E.M.", "Not Specified", "ffffffff", "0x00", "unknown", "---"],
)
def test_fillers_are_no_serial_numbers(word: str) -> None:
    assert position.is_filler(word)


@pytest.mark.parametrize("word", ["1820", "A7", "5", "MT2334X00123", "0001"])
def test_serial_numbers_are_no_fillers(word: str) -> None:
    assert not position.is_filler(word)


@pytest.mark.parametrize(
    "uuid", ["GPU-00000000-0000-0000-0000-000000000000", "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", ""]
)
def test_a_uuid_that_was_blanked_out_is_claimed_by_nobody(uuid: str) -> None:
    built = graph({"a": changed(tray(1, 3), 0, uuid=uuid), "b": changed(tray(2, 3), 0, uuid=uuid)})
    assert not built.standing.shared
    assert not any(node.disputed for node in built.nodes.values())


def test_no_node_renames_what_a_fabric_knows() -> None:
    leaf = Reading((Claim("quiet", "leaf", f"{domain_id(1)}", "ibnetdiscover"),))
    built = build(fold_all(Inventory(), [Listed({"liar": tray()})]), None, {"x": leaf})
    assert built.nodes["quiet"].tiers == {"leaf": domain_id(1)}
    assert built.nodes["liar"].tiers["nvlinkDomain"] == f"nvlinkDomain/{domain_id(1)}"


def test_what_is_left_of_a_record_is_bounded() -> None:
    record = records.EMPTY
    for number in range(50):
        record = records.stamped(record, [("gpu", f"GPU-{number}")], f"2026-11-28T12:{number:02}:00Z")
    assert len(records.times(record)) == 17


def test_graph_without_a_clock_records_nothing() -> None:
    assert dict(graph(racks(1)).records) == {}
