from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.conclusions.derive import derive
from nvtopo.sinks.metrics.fabric import families
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import FIXTURES


def page(host: str) -> str:
    snapshot = parse_capture((FIXTURES / "hosts" / host / "capture.json").read_bytes(), host)
    return text(families(snapshot, derive(assemble(snapshot))))


def values(text: str, name: str) -> list[float]:
    return [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{{")]


def test_a_healthy_tray() -> None:
    found = page("gb200-nvl72-tray")
    assert values(found, "nvtopo_fabric_clique_info") == [1] * 4
    assert found.count('clique="2"') == 4
    assert values(found, "nvtopo_fabric_problem") == [0] * 4 * 7
    assert values(found, "nvtopo_pcie_link_width_lanes") == [16] * 4
    assert values(found, "nvtopo_pcie_link_maximum_width_lanes") == [16] * 4
    assert values(found, "nvtopo_c2c_capacity_bytes_per_second") == [5 * 44_712_000_000] * 4
    assert found.count('state="completed"} 1') == 4


def test_an_unhealthy_fabric_says_so() -> None:
    assert 'problem="unhealthy"} 1' in page("gb200-fabric-unhealthy")


def test_a_registering_fabric_has_no_clique() -> None:
    found = page("h100-fabric-registering")
    assert 'state="in-progress"} 1' in found
    assert len(values(found, "nvtopo_fabric_clique_info")) < 8


def test_a_machine_without_gpus_has_no_series() -> None:
    assert page("laptop-no-gpu") == ""
