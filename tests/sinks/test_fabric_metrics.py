from prometheus_client import CollectorRegistry, generate_latest

from nvtopo.model.assemble import assemble
from nvtopo.model.derive import derive
from nvtopo.sinks.fabric_metrics import FabricCollector
from nvtopo.sinks.metrics import Observation
from nvtopo.sources.capture import parse_capture
from tests.hosts.recorded import FIXTURES


def page(host: str) -> str:
    snapshot = parse_capture((FIXTURES / "hosts" / host / "capture.json").read_bytes(), host)
    node = assemble(snapshot)
    registry = CollectorRegistry()
    registry.register(FabricCollector(lambda: Observation(snapshot, node, derive(node), seconds=1, at_seconds=1)))
    return generate_latest(registry).decode()


def values(text: str, name: str) -> list[float]:
    return [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{{")]


def test_a_healthy_tray() -> None:
    text = page("gb200-nvl72-tray")
    assert values(text, "nvtopo_fabric_clique") == [2] * 4
    assert values(text, "nvtopo_fabric_problem") == [0] * 4 * 7
    assert values(text, "nvtopo_pcie_link_width_lanes") == [16] * 4
    assert values(text, "nvtopo_pcie_link_maximum_width_lanes") == [16] * 4
    assert values(text, "nvtopo_c2c_capacity_bytes_per_second") == [5 * 44_712_000_000] * 4
    assert text.count('state="completed"} 1.0') == 4


def test_an_unhealthy_fabric_says_so() -> None:
    assert 'problem="unhealthy"} 1.0' in page("gb200-fabric-unhealthy")


def test_a_registering_fabric_has_no_clique() -> None:
    text = page("h100-fabric-registering")
    assert 'state="in-progress"} 1.0' in text
    assert len(values(text, "nvtopo_fabric_clique")) < 8


def test_a_machine_without_gpus_and_one_not_yet_read_have_no_series() -> None:
    assert page("laptop-no-gpu") == ""
    assert list(FabricCollector(lambda: None).collect()) == []
