"""The all-reduce by each algorithm, against figures worked out by hand from NCCL's formulas."""

import pytest

from nvtopo.placement import algorithms, cost
from nvtopo.placement.fleet import Host, fleet
from nvtopo.placement.links import Link
from nvtopo.placement.place import place
from nvtopo.placement.request import Request
from nvtopo.placement.result import Assignment
from nvtopo.placement.state import State

NVLINK, LEAF, SPINE = Link(1_000, 900_000_000_000), Link(10_000, 50_000_000_000), Link(20_000, 50_000_000_000)
LINKS = (NVLINK, NVLINK, LEAF, SPINE)
SIZE = 8_000_000
PS = cost.PS_PER_SECOND


def test_islands_are_what_nvlink_joins() -> None:
    assert algorithms.island_level(LINKS) == 1
    assert algorithms.island_level((NVLINK, LEAF)) == 0
    assert algorithms.island_level((NVLINK,)) == 0


def test_one_gpu_waits_for_nobody() -> None:
    found = algorithms.times(LINKS, (1,), SIZE, (1,))
    assert (found.ring, found.tree, found.hierarchical) == (0, 0, 0)


def test_on_one_island_the_hierarchy_is_a_ring() -> None:
    found = algorithms.times(LINKS, (2, 1), SIZE, (8,))
    assert found.hierarchical == found.ring
    assert found.ring == -(-2 * 7 * SIZE * PS // (8 * NVLINK.bytes_per_second)) + 14 * NVLINK.latency_ps


def test_four_islands_of_eight_on_two_leaves() -> None:
    found = algorithms.times(LINKS, (8, 4, 2, 1), SIZE, (8, 8, 8, 8))
    data = 2 * 100 * SIZE * PS // (92 * SPINE.bytes_per_second) + 1
    assert found.tree == data + 2 * (7 * 1_000 + 1 * 10_000 + 1 * 20_000)
    inside = -(-2 * 7 * SIZE * PS // (8 * NVLINK.bytes_per_second)) + 14 * 1_000
    share = SIZE // 8
    across = -(-2 * 3 * share * PS // (4 * SPINE.bytes_per_second)) + 2 * (2 * 10_000 + 1 * 20_000)
    assert found.hierarchical == inside + across


def test_uneven_islands_have_no_hierarchy() -> None:
    assert algorithms.times(LINKS, (3, 3, 1), SIZE, (8, 8, 4)).hierarchical is None


def test_for_small_messages_over_many_islands_the_tree_is_faster_and_for_large_ones_the_ring() -> None:
    used, islands = (512, 64, 4, 1), (64,) * 64
    small, large = (algorithms.times(LINKS, used, size, islands) for size in (1_000, 1_000_000_000))
    assert small.tree < small.ring
    assert large.ring < large.tree


@pytest.mark.parametrize("pods", [1, 2, 3, 5, 8])
def test_counts_and_search_say_the_same(pods: int) -> None:
    hosts = tuple(
        Host(
            name=f"n{number}",
            tiers={"nvlinkDomain": f"d{number // 2}", "leaf": f"l{number // 4}"},
            free=(tuple(range(4)),),
            groups=(tuple(range(4)),),
        )
        for number in range(8)
    )
    given = fleet(hosts, ("nvlinkDomain", "leaf"))
    request = Request(pods=pods, gpus=4)
    exact, quick = place(given, request), State(given).place(request)
    assert isinstance(exact, Assignment)
    assert isinstance(quick, Assignment)
    assert exact.all_reduce_times == quick.all_reduce_times
    assert exact.all_reduce_times is not None
    assert exact.all_reduce_times.ring == exact.cost.all_reduce


def test_a_pipeline_has_no_all_reduce_of_all() -> None:
    given = fleet((Host(name="a", tiers={}, free=((0, 1, 2, 3),)),), ())
    found = place(given, Request(pods=1, gpus=4, pipeline=2))
    assert isinstance(found, Assignment)
    assert found.all_reduce_times is None
