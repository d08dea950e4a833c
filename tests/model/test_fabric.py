import pytest

from nvtopo.model.conclusions import fabric
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.records.facts import GpuFabric
from tests.model.machines import gpu, machine

ZERO = "00000000-0000-0000-0000-000000000000"
UUID = "5c1b7a4e-0000-4000-8000-000000000072"


def completed(uuid: str | None = UUID, clique: int | None = 2, **more: object) -> GpuFabric:
    return GpuFabric(state="completed", status=0, cluster_uuid=uuid, clique_id=clique, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (None, "NotApplicable"),
        (GpuFabric(state="not-supported"), "NotApplicable"),
        (GpuFabric(), "Unknown"),
        (GpuFabric(state="not-started"), "Registering"),
        (GpuFabric(state="in-progress"), "Registering"),
        (GpuFabric(state="completed", status=23, clique_id=0, cluster_uuid=ZERO), "Error"),
        (completed(ZERO, 0), "SingleNode"),
        (completed(), "Attached"),
        (completed(clique=0), "Attached"),
        (completed(clique=32766), "Attached"),
        (completed(health_summary="unhealthy"), "Unhealthy"),
        (completed(health_mask=0x1AA), "Attached"),
        (completed(health_mask=0x1A9), "Unhealthy"),
        (completed(health_mask=0x2AA), "Unhealthy"),
    ],
)
def test_what_a_gpu_s_fabric_state_amounts_to(facts: GpuFabric | None, verdict: str) -> None:
    assert fabric.verdict(facts) == verdict


def test_an_hgx_board_is_in_no_multi_node_domain() -> None:
    assert fabric.domain(assemble(machine(gpu(0, fabric=completed(ZERO, 0))))) is None


def test_the_domain_is_cluster_and_clique_and_survives_bad_health() -> None:
    assert fabric.domain(assemble(machine(gpu(0, fabric=completed())))) == f"{UUID}.2"
    sick = completed(health_summary="unhealthy")
    assert fabric.domain(assemble(machine(gpu(0, fabric=sick)))) == f"{UUID}.2"


@pytest.mark.parametrize(
    "facts",
    [
        None,
        completed(clique=None),
        completed(ZERO),
        completed(None),
        completed(None, None),
        GpuFabric(state="in-progress", cluster_uuid=UUID, clique_id=2),
        GpuFabric(state="completed", status=23, cluster_uuid=UUID, clique_id=2),
    ],
)
def test_a_domain_needs_cluster_and_clique_and_a_fabric_that_is_complete(facts: GpuFabric | None) -> None:
    assert fabric.gpu_domain(facts) is None


def test_gpus_that_disagree_give_no_domain_and_a_mixed_verdict() -> None:
    node = assemble(machine(gpu(0, fabric=completed()), gpu(1, fabric=GpuFabric(state="in-progress"))))
    assert fabric.domain(node) is None
    assert fabric.node_verdict(node) == "Mixed"


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        ((completed(), completed()), "Unknown"),
        ((completed(), GpuFabric(state="in-progress")), "Mixed"),
        ((), "Unknown"),
    ],
)
def test_a_gpu_whose_fabric_is_not_known_agrees_with_no_other(others: tuple[GpuFabric, ...], verdict: str) -> None:
    gpus = [gpu(index, fabric=facts) for index, facts in enumerate((GpuFabric(), *others))]
    node = assemble(machine(*gpus))
    assert fabric.node_verdict(node) == verdict
    assert fabric.domain(node) is None
