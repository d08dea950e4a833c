"""What an operator accepted: which act counts, what ends it, and what of a node is accepted."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster.acceptance import accepted_traits, groups_of, observed, revoked, standing
from nvtopo.cluster.accepted import Acceptance, Act, Group
from nvtopo.cluster.drift_fleet import at_once, differing_at_once
from nvtopo.cluster.graph import build
from nvtopo.cluster.inventory import Accepted, Inventory, fold
from nvtopo.cluster.nodes import readable
from nvtopo.cluster.traits import traits_of
from nvtopo.model.records.expected import Expectation
from nvtopo.model.records.node import NodeTopology
from tests.cluster import fleets, machines

_NOW = "2026-11-28T12:00:00Z"
_LATER = "2026-11-29T12:00:00Z"


def act(nodes: str, gpus: int = 8, at: str = "2026-11-28T00:00:00Z", until: str | None = None) -> Act:
    return Act(at=at, until=until, groups=(Group(nodes=tuple(nodes), expect=Expectation(gpus=gpus)),))


def counted(acts: dict[str, Act], now: str = _NOW) -> dict[str, int | None]:
    return {name: one.expect.gpus for name, one in standing(acts, now).items()}


def test_the_latest_act_decides_and_one_that_ended_does_not() -> None:
    acts = {"z": act("ab"), "y": act("b", 7, at="2026-11-28T06:00:00Z", until=_LATER)}
    assert counted(acts) == {"a": 8, "b": 7}
    assert counted(acts, _LATER) == {"a": 8, "b": 8}


def test_acts_of_one_moment_have_an_order_too() -> None:
    assert counted({"a": act("n", 7), "b": act("n", 8)}) == counted({"b": act("n", 8), "a": act("n", 7)})


def test_revoking_takes_nodes_out_of_every_act_and_deletes_what_is_empty_or_ended() -> None:
    acts = {"one": act("ab"), "two": act("b"), "three": act("c"), "old": act("d", until=_NOW)}
    changed = revoked(acts, {"b"}, _NOW)
    assert changed == {"one": act("a"), "two": None, "old": None}


_ACTS = st.dictionaries(
    st.sampled_from("pqrs"),
    st.builds(act, st.sets(st.sampled_from("abcd"), min_size=1).map("".join), st.integers(1, 9)),
)


@given(_ACTS, st.sets(st.sampled_from("abcd")))
def test_after_revoking_nothing_is_accepted_of_those_and_all_else_is_as_before(
    acts: dict[str, Act], nodes: set[str]
) -> None:
    changed = {**acts, **revoked(acts, nodes, _NOW)}
    after = standing({key: one for key, one in changed.items() if one is not None}, _NOW)
    before = standing(acts, _NOW)
    assert after == {name: one for name, one in before.items() if name not in nodes}


def fleet() -> dict[str, NodeTopology]:
    nodes = {f"n{number}": fleets.machine(number=number) for number in range(5)}
    slow = (fleets.nic(0), fleets.nic(1, mtu_bytes=1500))
    nodes["n0"] = replace(machines.changed(nodes["n0"], 2, nvlinks=(machines.bundle("0-16"),)), nics=slow)
    return nodes


def test_what_was_accepted_settles_all_drift_and_a_further_loss_is_drift_again() -> None:
    nodes = fleet()
    graph = machines.graph(nodes)
    assert [one.nodes for one in at_once(graph)] == [("n0",)]
    (group,) = groups_of([graph.nodes["n0"]], differing_at_once(graph))
    assert group.expect.nvlinks_per_gpu == 17
    assert group.expect.mtu_bytes is None
    assert ("mlx5_1", "mtuBytes", 1500) in [(one.subject, one.path, one.value) for one in group.facts]
    acceptance = Acceptance(expect=group.expect, facts=group.facts, at=_NOW)
    inventory = fold(graph.standing.inventory or Inventory(), Accepted({"n0": acceptance}))
    settled = build(inventory, graph)
    assert at_once(settled) == frozenset()
    worse = machines.changed(nodes["n0"], 2, nvlinks=(machines.bundle("0-15"),))
    one = dataclasses.replace(readable("n0", worse), accepted=acceptance)
    assert {
        (fact.subject, value) for fact, value in accepted_traits(one, traits_of(one)).items() if fact.path == "nvlinks"
    } == {
        ("GPU0", 18),
        ("GPU1", 18),
        ("GPU2", 17),
        ("GPU3", 18),
    }


def test_nodes_that_are_alike_are_one_group() -> None:
    graph = machines.graph(fleet())
    groups = groups_of(graph.nodes.values(), {})
    assert [group.nodes for group in groups] == [("n0",), ("n1", "n2", "n3", "n4")]


def test_what_is_not_known_is_not_accepted() -> None:
    node = readable("n", NodeTopology())
    found = observed(node, NodeTopology())
    assert (found.nics, found.rails, found.nvlinks_per_gpu, found.mtu_bytes, found.pcie) == (None,) * 5


@pytest.mark.parametrize("event", [{}, {"nobody": Acceptance(at=_NOW)}])
def test_an_acceptance_of_nobody_changes_no_node(event: dict[str, Acceptance]) -> None:
    graph = machines.graph(fleet())
    after = build(fold(graph.standing.inventory or Inventory(), Accepted(event)), graph)
    assert after.delta.nodes == frozenset()
