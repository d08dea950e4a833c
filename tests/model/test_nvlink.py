import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.model.conclusions import nvlink, nvlink_path
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.records.facts import GpuFabric, GpuPairFacts
from nvtopo.model.records.nvlinks import NvLink, fold
from tests.model.machines import bridge, gpu, machine, to_switch


def switched(*counts: int) -> tuple[tuple[NvLink, ...], ...]:
    """For each count a GPU with eighteen switch links, that many of them up."""
    return tuple(tuple(to_switch(link, active=link < count) for link in range(18)) for count in counts)


def test_a_bridged_pair_is_a_group_and_its_rate_is_the_driver_s() -> None:
    node = assemble(machine(gpu(0, bridge(0, 1), bridge(1, 1)), gpu(1, bridge(0, 0), bridge(1, 0)), gpu(2)))
    assert nvlink.groups(node) == ((0, 1),)
    assert nvlink.paths(node) == {(0, 1): nvlink_path.Path(2, 50_000_000_000, "driver")}


def test_without_a_reported_speed_the_table_answers_and_says_so() -> None:
    node = assemble(machine(gpu(0, bridge(0, 1, rate=None)), gpu(1, bridge(0, 0, rate=None))))
    assert nvlink.paths(node)[0, 1] == nvlink_path.Path(1, 25_000_000_000, "table")


def test_a_link_that_only_one_side_has_is_no_link() -> None:
    node = assemble(machine(gpu(0, bridge(0, 1)), gpu(1)))
    assert nvlink.groups(node) == ()
    assert [(problem.source, problem.subject, problem.reason) for problem in node.problems] == [
        ("nvml", "GPU0-GPU1", "1 usable NVLinks from GPU0, 0 from GPU1")
    ]


def test_switched_gpus_are_one_full_mesh() -> None:
    node = assemble(machine(*(gpu(index, *links) for index, links in enumerate(switched(18, 18, 18, 18)))))
    found = nvlink.paths(node)
    assert nvlink.groups(node) == ((0, 1, 2, 3),)
    assert nvlink.is_full_mesh((0, 1, 2, 3), found)
    assert {path.links for path in found.values()} == {18}


def test_links_down_on_one_gpu_narrow_every_pair_of_it() -> None:
    node = assemble(machine(*(gpu(index, *links) for index, links in enumerate(switched(18, 16, 18)))))
    found = nvlink.paths(node)
    assert (found[0, 1].links, found[0, 2].links, found[1, 2].links) == (16, 18, 16)
    assert nvlink.degraded(node) == (1,)


def test_links_asleep_carry_traffic() -> None:
    node = assemble(machine(gpu(0, bridge(0, 1, state="sleep")), gpu(1, bridge(0, 0))))
    assert nvlink.groups(node) == ((0, 1),)
    assert nvlink.degraded(node) == ()


def test_a_driver_that_denies_peer_access_has_the_last_word() -> None:
    pairs = (GpuPairFacts(a=0, b=1, nvlink_p2p="NS"),)
    node = assemble(machine(*(gpu(index, *links) for index, links in enumerate(switched(18, 18))), pairs=pairs))
    assert nvlink.groups(node) == ()


@pytest.mark.parametrize("state", ["not-started", "in-progress"])
def test_trained_links_prove_nothing_before_the_fabric_is_ready(state: str) -> None:
    fabric = GpuFabric(state=state)  # type: ignore[arg-type]  # the parameters above
    gpus = (gpu(index, *links, fabric=fabric) for index, links in enumerate(switched(18, 18)))
    assert nvlink.groups(assemble(machine(*gpus))) == ()


def test_under_mig_nvlink_is_unknown_and_not_absent() -> None:
    derived = derive(assemble(machine(gpu(0, mig=True), gpu(1, mig=True))))
    assert derived.nvlink_groups is None
    assert derived.nvlink_full_mesh is None
    assert not derived.complete


def test_a_mesh_with_holes_is_one_group_and_not_full() -> None:
    node = assemble(
        machine(gpu(0, bridge(0, 1)), gpu(1, bridge(0, 0), bridge(1, 2)), gpu(2, bridge(0, 1))),
    )
    assert nvlink.groups(node) == ((0, 1, 2),)
    assert not nvlink.is_full_mesh((0, 1, 2), nvlink.paths(node))


def test_a_link_unlike_its_siblings_stands_alone() -> None:
    folded = fold((to_switch(0), to_switch(1), to_switch(2, active=False), to_switch(3)))
    assert [(bundle.links, bundle.state) for bundle in folded] == [("0-1,3", "active"), ("2", "inactive")]


@given(st.lists(st.integers(0, 18), min_size=2, max_size=8))
def test_folding_loses_no_link(counts: list[int]) -> None:
    for links in switched(*counts):
        folded = fold(links)
        assert sum(bundle.count for bundle in folded) == len(links)
        assert sum(bundle.count for bundle in folded if bundle.usable) == sum(link.state == "active" for link in links)


@given(st.lists(st.integers(0, 18), min_size=2, max_size=8))
def test_groups_are_disjoint_and_hold_every_pair_with_a_path(counts: list[int]) -> None:
    node = assemble(machine(*(gpu(index, *links) for index, links in enumerate(switched(*counts)))))
    groups = nvlink.groups(node) or ()
    members = [index for group in groups for index in group]
    assert len(members) == len(set(members))
    for a, b in nvlink.paths(node):
        assert any(a in group and b in group for group in groups)


def test_the_slowest_link_between_two_gpus_says_the_rate_whoever_knows_it() -> None:
    for rates, versions, right in (
        ((25_000_000_000, 20_000_000_000), ("3.0", "3.0"), (40_000_000_000, "driver")),
        ((None, None), ("3.0", "1.0"), (40_000_000_000, "table")),
    ):
        links = [
            [replace(bridge(number, peer, rate=rate), version=version) for number, (rate, version) in enumerate(each)]
            for peer, each in ((1, zip(rates, versions, strict=True)), (0, zip(rates, versions, strict=True)))
        ]
        node = assemble(machine(gpu(0, *links[0]), gpu(1, *links[1])))
        assert nvlink.paths(node)[0, 1] == nvlink_path.Path(2, *right)  # type: ignore[arg-type]  # the table above
