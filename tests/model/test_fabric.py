import pytest

from nvtopo.model import fabric
from nvtopo.model.assemble import assemble
from nvtopo.model.facts import GpuFabric
from tests.model.machines import gpu, machine

ZERO = "00000000-0000-0000-0000-000000000000"
UUID = "5c1b7a4e-0000-4000-8000-000000000072"


def completed(uuid: str = UUID, clique: int = 2, **more: object) -> GpuFabric:
    return GpuFabric(state="completed", status=0, cluster_uuid=uuid, clique_id=clique, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (None, "NotApplicable"),
        (GpuFabric(state="not-supported"), "NotApplicable"),
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


def test_gpus_that_disagree_give_no_domain_and_a_mixed_verdict() -> None:
    node = assemble(machine(gpu(0, fabric=completed()), gpu(1, fabric=GpuFabric(state="in-progress"))))
    assert fabric.domain(node) is None
    assert fabric.node_verdict(node) == "Mixed"
