"""What is compared between machines, and what a change of it means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.nodes import GraphNode, readable, unreadable
from nvtopo.cluster.peers import Known, Peers
from nvtopo.cluster.traits import Fact, Shape, changes, shape_of, traits_of, wanted
from nvtopo.model.changes.change import Change
from nvtopo.model.changes.loss import is_loss
from nvtopo.model.records.expected import Expectation, PcieExpectation, VersionExpectation
from nvtopo.model.records.facts import PcieLink
from nvtopo.model.records.record import Problem
from tests.cluster import fleets, machines

_DRIVER = Fact("host", "host", "driverVersion")
_SHAPE = Shape("A", ("G",))


def test_versions_counts_links_rates_mtus_and_gids_are_compared() -> None:
    found = traits_of(fleets.node())
    assert found[_DRIVER] == fleets.DRIVER
    assert found[Fact("gpus", "node", "gpus")] == 4
    assert found[Fact("gpus", "GPU3", "nvlinks")] == 18
    assert found[Fact("nics", "mlx5_1", "mtuBytes")] == 9000
    assert found[Fact("nics", "mlx5_1", "ports.1.gidIndex")] == 3
    assert found[Fact("nics", "mlx5_1", "link")] == "full"


def test_vbios_firmware_and_psid_are_compared() -> None:
    node = fleets.machine(nics=1)
    gpus = tuple(replace(gpu, vbios="96.00.99.00.01") for gpu in node.gpus)
    known = replace(node, gpus=gpus, nics=(fleets.nic(firmware="28.43.2026", psid="MT_0000000838"),))
    found = traits_of(readable("n", known))
    assert found[Fact("gpus", "GPU0", "vbios")] == "96.00.99.00.01"
    assert found[Fact("nics", "mlx5_0", "firmware")] == "28.43.2026"
    assert found[Fact("nics", "mlx5_0", "psid")] == "MT_0000000838"
    assert not {fact.path for fact in traits_of(fleets.node())} & {"vbios", "firmware", "psid"}


def test_what_is_not_known_is_not_compared() -> None:
    assert traits_of(unreadable("n", "broken")) == {}
    hanging = (Problem(source="pci", subject="pci", reason="no answer in time: the source hangs"),)
    found = traits_of(fleets.node(problems=hanging))
    assert not [fact for fact in found if fact.kind == "nics" or fact.subject == "node"]
    links = machines.changed(fleets.machine(), 0, nvlinks=(machines.bundle(state=None),))
    training = machines.changed(links, 1, nvlink_training=True)
    kept = {fact.subject for fact in traits_of(readable("n", training)) if fact.path == "nvlinks"}
    assert kept == {"GPU2", "GPU3"}


def test_firmware_that_a_source_states_is_compared() -> None:
    node = fleets.node(attributes={"bmc": {"PSID": "MT_0000", "serial": "1"}})
    assert traits_of(node)[Fact("attributes", "bmc", "PSID")] == "MT_0000"
    assert Fact("attributes", "bmc", "serial") not in traits_of(node)


@pytest.mark.parametrize(
    ("one", "change", "loss"),
    [
        ({"driver": "1"}, ("host", "host", "driverVersion", fleets.DRIVER, "1"), False),
        ({"nics": 1}, ("nics", "node", "nics", 2, 1), True),
        ({"nics": 3}, ("nics", "node", "nics", 2, 3), False),
    ],
)
def test_a_difference_is_a_typed_change(
    one: dict[str, Any], change: tuple[str, str, str, object, object], loss: bool
) -> None:
    kind, subject, path, before, after = change
    found = [
        found
        for found in changes(traits_of(fleets.node()), traits_of(fleets.node(**one)))
        if (found.kind, found.path) == (kind, path)
    ]
    assert found == [Change(kind=kind, subject=subject, path=path, before=before, after=after)]
    assert is_loss(found[0]) is loss


@pytest.mark.parametrize(
    ("path", "before", "after", "loss"),
    [
        ("mtuBytes", 9000, 1500, True),
        ("mtuBytes", 1500, 9000, False),
        ("ports.1.gidIndex", 3, 1, False),
        ("ports.1.state", "ACTIVE", "DOWN", True),
        ("ports.1.state", "DOWN", "ACTIVE", False),
        ("ports.1.state", "ACTIVE", None, False),
        ("link", "full", "x8 generation 4", True),
        ("link", "x8 generation 4", "full", False),
        ("link.width", 16, 8, True),
        ("link.width", 16, None, False),
        ("virtualFunctions", True, False, False),
    ],
)
def test_a_loss_is_less_or_something_that_works_no_longer(path: str, before: object, after: object, loss: bool) -> None:
    assert is_loss(Change(kind="nics", subject="mlx5_0", path=path, before=before, after=after)) is loss


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        (Change(kind="gpus", subject="GPU0", before={"index": 0}), True),
        (Change(kind="gpus", subject="GPU0", after={"index": 0}), False),
        (Change(kind="problems", subject="x", after={"reason": "y"}), True),
        (Change(kind="problems", subject="x", before={"reason": "y"}), False),
        (Change(kind="gpus", subject="GPU0", path="recoveryAction", after="gpu-reset"), True),
        (Change(kind="gpus", subject="GPU0", path="recoveryAction", before="gpu-reset"), False),
        (Change(kind="derived", subject="node", path="nvlinkDomain", before="a"), True),
    ],
)
def test_things_that_go_problems_that_come_and_actions_that_are_asked_for(change: Change, loss: bool) -> None:
    assert is_loss(change) is loss


def test_links_that_fall_are_a_loss_and_links_that_are_not_known_are_none() -> None:
    def fell(after: dict[str, str | None]) -> bool:
        before = {"0-17": "active"}
        return is_loss(Change(kind="gpus", subject="GPU0", path="nvlinks.state", before=before, after=after))

    assert fell({"0-16": "active", "17": "inactive"})
    assert fell({"0-16": "active"})
    assert not fell({"0-16": "active", "17": None})
    assert not fell({"0-17": "sleep"})


def test_an_accepted_expectation_says_what_each_fact_should_be() -> None:
    node = fleets.node()
    said = Expectation(
        gpus=3, nvlinks_per_gpu=17, versions=VersionExpectation(driver="9"), pcie=PcieExpectation(width=8)
    )
    found = wanted(said, node, traits_of(node))
    assert found[Fact("gpus", "node", "gpus")] == 3
    assert found[_DRIVER] == "9"
    assert [found[Fact("gpus", f"GPU{index}", "nvlinks")] for index in range(4)] == [17] * 4
    linked = machines.all_changed(fleets.machine(), link=PcieLink(width=16, max_width=16))
    one = readable("n", linked)
    assert wanted(said, one, traits_of(one))[Fact("gpus", "GPU0", "link.width")] == 8


def test_a_machine_whose_gpus_do_not_answer_is_compared_with_its_product() -> None:
    peers = Peers()
    alike = fleets.node()
    peers.see({name: Known(shape_of(alike) or _SHAPE, traits_of(alike)) for name in "abc"})
    silent = readable("s", replace(fleets.machine(), gpus=()))
    shape = shape_of(silent)
    assert shape is not None
    found = changes(peers.expected(shape), traits_of(silent))
    assert ("gpus", "node", "gpus", 4, 0) in [(c.kind, c.subject, c.path, c.before, c.after) for c in found]


def _see(peers: Peers, values: dict[str, str]) -> None:
    peers.see({name: Known(_SHAPE, {_DRIVER: value}) for name, value in values.items()})


@pytest.mark.parametrize(
    ("values", "agreed"),
    [("aaa", "a"), ("aab", None), ("aaab", "a"), ("aaabb", None), ("aa", None), ("", None)],
)
def test_a_quorum_of_three_machines_and_three_quarters(values: str, agreed: str | None) -> None:
    peers = Peers()
    _see(peers, {f"n{number}": value for number, value in enumerate(values)})
    assert peers.expected(_SHAPE).get(_DRIVER) == agreed


def test_half_way_through_a_rollout_what_was_agreed_before_stays() -> None:
    peers = Peers()
    _see(peers, dict.fromkeys("abcd", "1"))
    _see(peers, dict.fromkeys("ab", "2"))
    assert peers.expected(_SHAPE) == {_DRIVER: "1"}
    _see(peers, {"c": "2"})
    assert peers.expected(_SHAPE) == {_DRIVER: "2"}
    assert peers.see(dict.fromkeys("abcd")) == {_SHAPE}
    assert peers.expected(_SHAPE) == {}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.sampled_from("12")), max_size=30))
def test_counting_as_nodes_come_and_go_is_counting_those_that_are_there(steps: list[tuple[str, str | None]]) -> None:
    peers, there = Peers(), dict[str, str]()
    for name, value in steps:
        peers.see({name: None if value is None else Known(_SHAPE, {_DRIVER: value})})
        there.pop(name, None)
        if value is not None:
            there[name] = value
    now = Peers()
    _see(now, there)
    agreed = now.expected(_SHAPE).get(_DRIVER)
    assert agreed in (None, peers.expected(_SHAPE).get(_DRIVER))
    assert peers.nodes(_SHAPE) == there.keys()


def test_a_node_of_which_nothing_is_known_has_no_shape() -> None:
    assert shape_of(GraphNode("n", None)) is None
    assert shape_of(fleets.node()) == Shape(fleets.PRODUCT, ("NVIDIA GB200",))
