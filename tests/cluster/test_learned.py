"""What is learned of a shape from its machines: a quorum, and nothing of machines that are not alike."""

from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.learned import Learning, Sight, learned
from nvtopo.cluster.nodes import GraphNode, readable, unreadable
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.node import Host, NodeTopology
from tests.cluster.machines import tray

_PRODUCT: Final = "Acme 9000"
_WHOLE: Final = Expectation(gpus=4, nvlinks_per_gpu=18)


def machine(gpus: int = 4, product: str = _PRODUCT, *, hypervisor: bool = False) -> NodeTopology:
    node = tray()
    return replace(node, host=Host(product=product, hypervisor=hypervisor), gpus=node.gpus[:gpus])


def nodes(*topologies: NodeTopology) -> dict[str, GraphNode | None]:
    return {f"node-{number}": readable(f"node-{number}", topology) for number, topology in enumerate(topologies)}


@pytest.mark.parametrize(
    ("sights", "found"),
    [
        ({Sight(8, 8, 18): 3}, Expectation(gpus=8, rails=8, nvlinks_per_gpu=18)),
        ({Sight(8, 8, 18): 2}, None),
        ({Sight(8, 8, 18): 3, Sight(7, 8, 18): 1}, Expectation(gpus=8, rails=8, nvlinks_per_gpu=18)),
        ({Sight(8): 3, Sight(4): 2}, None),
        ({Sight(8, None, 18): 2, Sight(8, 8, None): 1}, Expectation(gpus=8)),
        ({}, None),
    ],
)
def test_a_quorum_of_three_machines_and_three_quarters(sights: dict[Sight, int], found: Expectation | None) -> None:
    assert learned(sights) == found


def test_what_was_learned_stays_until_a_quorum_says_another_thing() -> None:
    before = Expectation(gpus=8, rails=8)
    assert learned({Sight(8): 2, Sight(7): 2}, before) == before
    assert learned({Sight(6): 4}, before) == Expectation(gpus=6, rails=8)


@pytest.mark.parametrize(
    "one",
    [
        machine(hypervisor=True),
        machine(product=""),
        replace(machine(), gpus=tuple(replace(gpu, name="") for gpu in machine().gpus)),
        replace(machine(), gpus=tuple(replace(gpu, fabric=None, nvlinks=()) for gpu in machine().gpus)),
        replace(machine(), unseen=("gpus",)),
        NodeTopology(),
    ],
)
def test_of_guests_cards_and_machines_that_are_not_known_nothing_is_learned(one: NodeTopology) -> None:
    learning = Learning()
    fleet = nodes(*[one] * 5)
    assert learning.see(fleet) == frozenset()
    assert [learning.of(node) for node in fleet.values() if node is not None] == [None] * 5


def test_one_that_has_less_and_one_that_has_none_are_told_what_the_others_have() -> None:
    learning = Learning()
    fleet = nodes(machine(), machine(), machine(), machine(3), machine(0), machine(2, "Other"))
    assert learning.see(fleet) == {_PRODUCT}
    found = [learning.of(node) for node in fleet.values() if node is not None]
    assert found == [_WHOLE] * 5 + [None]
    assert learning.of(unreadable("x", "broken")) is None


def test_a_shape_whose_last_machine_is_gone_is_forgotten() -> None:
    learning = Learning()
    fleet = nodes(machine(), machine(), machine())
    learning.see(fleet)
    assert learning.see(dict.fromkeys(fleet)) == {_PRODUCT}
    assert learning.see(nodes(machine(3))) == frozenset()


_STEPS: Final = st.lists(
    st.tuples(st.integers(0, 5), st.none() | st.tuples(st.integers(1, 4), st.sampled_from(["A", "B"]))), max_size=20
)


@given(_STEPS)
def test_counting_as_nodes_come_and_go_is_counting_those_that_are_there(
    steps: list[tuple[int, tuple[int, str] | None]],
) -> None:
    learning, there = Learning(), dict[str, tuple[int, str]]()
    for number, kind in steps:
        name = f"node-{number}"
        learning.see({name: None if kind is None else readable(name, machine(*kind))})
        there.pop(name, None)
        if kind is not None:
            there[name] = kind
    for product in ("A", "B"):
        now = learned(Counter(Sight(gpus, None, 18) for gpus, which in there.values() if which == product))
        told = learning.of(readable("asks", machine(4, product)))
        if now is not None:  # of a field without a quorum now, what was learned before stays
            assert told is not None
            assert now.gpus in (None, told.gpus)
            assert now.nvlinks_per_gpu in (None, told.nvlinks_per_gpu)
        assert told is None or any(which == product for _, which in there.values())
