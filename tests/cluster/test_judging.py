"""The verdict that nodes of one kind share is the one that each would get by itself."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nvtopo.cluster import judging
from nvtopo.cluster.judging import derived_of, judge, without_identifiers
from nvtopo.model.conclusions import fabric, health, rails
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.conclusions.distance import Distances
from nvtopo.model.records.facts import GpuPlatform
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.sources.capture import parse_capture
from tests.cluster import machines
from tests.cluster.test_graph import NODES
from tests.hosts.recorded import HOSTS

CAPTURES = [path for host in HOSTS if (path := host / "capture.json").exists()]
SUBJECTS = st.sampled_from(["GPU1", "GPU0-GPU1", "mlx5_0", "nvml", "pci", "uuid"])


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    judging._remembered.cache_clear()
    judging._derived.cache_clear()


def by_itself(topology: NodeTopology) -> judging.Judged:
    return judging._judge(topology)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.parent.name)
def test_a_recorded_machine_and_its_like_get_the_verdict_of_one_alone(path: Path) -> None:
    topology = assemble(parse_capture(path.read_bytes(), path.name))
    first = judge(topology)
    assert first == by_itself(topology)
    like = replace(
        topology,
        gpus=tuple(replace(gpu, uuid=f"GPU-{gpu.index}", platform=GpuPlatform(slot=9)) for gpu in topology.gpus),
        nvmes=(),
        attributes={"other": {"serial": "1"}},
    )
    assert judge(like) == by_itself(like)
    assert (derived_of(topology), derived_of(like)) == (derive(topology), derive(like))


@given(NODES, st.lists(st.tuples(st.sampled_from(["nvml", "pci", "siblings"]), SUBJECTS), max_size=3))
def test_problems_reach_the_device_that_they_name(topology: NodeTopology, problems: list[tuple[str, str]]) -> None:
    uuid = topology.gpus[0].uuid if topology.gpus else "GPU-0"
    ill = replace(
        topology,
        problems=tuple(
            Problem(source=source, subject=subject.replace("uuid", uuid), reason="no answer in time")
            for source, subject in problems
        ),
    )
    assert judge(ill) == by_itself(ill)
    assert derived_of(ill) == derive(ill)
    assert judge(topology) == by_itself(topology)


def test_a_tray_of_a_rack_is_judged_once_and_one_with_a_dead_link_by_itself() -> None:
    trays = [machines.tray(1, number) for number in range(18)]
    healthy = [judge(tray) for tray in trays]
    assert all(one is healthy[0] for one in healthy)
    worse = judge(machines.changed(trays[3], 2, nvlinks=(machines.bundle("0-16"), machines.bundle("17", "inactive"))))
    assert worse.cells["GPU2"] != healthy[3].cells["GPU2"]
    assert worse.cells["GPU1"] == healthy[3].cells["GPU1"]


def test_a_domain_that_differs_from_its_neighbor_is_not_taken_for_the_same() -> None:
    tray = machines.tray(1, 0)
    mixed = replace(tray, gpus=(*tray.gpus[:3], replace(tray.gpus[3], fabric=machines.fabric(2))))
    assert [reason.values for reason in judge(mixed).health.reasons if reason.code == "domains-differ"]
    assert not judge(tray).health.reasons


def test_what_is_remembered_is_bounded() -> None:
    for number in range(2000):
        judge(replace(machines.tray(), host=replace(machines.tray().host, kernel=str(number))))
    assert judging._remembered.cache_info().currsize <= 1024


def test_nothing_that_judges_reads_an_identifier() -> None:
    for path in CAPTURES:
        whole = assemble(parse_capture(path.read_bytes(), path.name))
        plain = without_identifiers(whole)
        roles = rails.roles(whole, Distances(whole))
        assert rails.roles(plain, Distances(plain)) == roles
        assert fabric.node_verdict(plain) == fabric.node_verdict(whole)
        if not judging._names_a_uuid(whole):
            assert health.of(plain, roles) == health.of(whole, roles)
