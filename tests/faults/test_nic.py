"""A NIC that goes and comes back on a recorded machine; tests/vm/test_hotplug.py unplugs a real PCI function."""

from pathlib import Path
from typing import Final

import pytest

from nvtopo.agent.parts.rdma import PATIENCE_SECONDS
from tests.faults.hang import Hang
from tests.faults.node import Agent, Node

pytestmark = pytest.mark.slow

DEVICES: Final = "sys/devices/pci0000:50/0000:50:01.0/0000:51:00.0/0000:52:01.0"
ADDRESS: Final = "0000:54:00.0"
LINKS: Final = (f"sys/bus/pci/devices/{ADDRESS}", "sys/class/infiniband/mlx5_0", "sys/class/net/enp84s0np0")


def has_it(node: Node, agent: Agent) -> bool:
    """GPU0's own NIC is there, and its rail."""
    labels = node.labels()
    return (
        (labels.get("nic.count"), labels.get("rdma.rails"), labels.get("nic.gpu-locality")) == ("10", "8", "PIX")
        and agent.value("nvtopo_rdma_port_active", device="mlx5_0") == 1
        and agent.value("nvtopo_gpu_nearest_nic", gpu="0", device="mlx5_0", level="PIX") == 1
        and agent.value("nvtopo_problems", source="rdma") is None
    )


def is_without_it(node: Node, agent: Agent) -> bool:
    """Nothing is said of it, and GPU0 makes do with farther ones."""
    labels = node.labels()
    return (
        (labels.get("nic.count"), labels.get("rdma.rails"), labels.get("nic.gpu-locality")) == ("9", "7", "NODE")
        and "mlx5_0" not in {given["device"] for given, _ in agent.page()["nvtopo_rdma_port_active"]}
        and agent.value("nvtopo_gpu_nearest_nic", gpu="0", device="mlx5_0") is None
        and agent.value("nvtopo_gpu_nearest_nic", gpu="1", device="mlx5_1", level="PIX") == 1
    )


def test_a_nic_removed_and_added(node: Node) -> None:
    agent = node.start()
    agent.eventually(lambda: has_it(node, agent), "the NIC")
    away = unplug(node)
    agent.eventually(lambda: is_without_it(node, agent), "nothing of the NIC")
    assert agent.ready()
    plug(away)
    agent.eventually(lambda: has_it(node, agent), "the NIC again")
    assert len(agent.said("topology changed")) in {2, 3, 4}, "a pass may see it half gone, or half back"


def test_a_nic_half_removed(node: Node) -> None:
    """Its links are there, and what they point to is not: so it is for a moment within the kernel too."""
    agent = node.start()
    agent.eventually(lambda: has_it(node, agent), "the NIC")
    away = (node.root / DEVICES / ADDRESS).rename(node.root / "away")
    agent.eventually(lambda: not has_it(node, agent), "a machine without the NIC")
    assert agent.alive()
    away.rename(node.root / DEVICES / ADDRESS)
    agent.eventually(lambda: has_it(node, agent), "the NIC again")


def test_a_nic_that_hangs(node: Node, tmp_path: Path) -> None:
    """Scrapes and passes go on without it, whichever of them finds it first."""
    hang = Hang(tmp_path)
    agent = node.start(environment=hang.environment)
    agent.eventually(lambda: has_it(node, agent), "the NIC")
    hang.begin(node.root / "sys/class/infiniband/mlx5_0/ports")
    try:
        agent.eventually(lambda: hangs(agent), "the other NICs, and why this one is away")
        agent.says("device hangs", source="rdma", subject="mlx5_0")
        agent.says("cannot read", source="rdma", subject="mlx5_0", reason="the device hangs")
        for _ in range(3):
            assert hangs(agent)
            assert (agent.value("nvtopo_rdma_read_duration_seconds") or 9) < PATIENCE_SECONDS, "nobody waits again"
        assert agent.value("nvtopo_problems", source="rdma") == 1
        assert "rdma.rails" not in node.labels(), "how many there are is not known"
        assert agent.alive()
        before = agent.value("nvtopo_observation_timestamp_seconds") or 0
        agent.eventually(
            lambda: (agent.value("nvtopo_observation_timestamp_seconds") or 0) > before, "passes that go on"
        )
    finally:
        hang.end()
    agent.eventually(lambda: has_it(node, agent), "the NIC again")
    agent.says("device answers again", subject="mlx5_0")
    assert agent.value("nvtopo_rdma_problem", device="mlx5_0", reason="hang") == 0


def hangs(agent: Agent) -> bool:
    """Of this NIC's ports there is only why there is no more."""
    page = agent.page()
    ports = {
        device: {
            name for name, samples in page.items() if name.startswith("nvtopo_rdma_") and device in devices(samples)
        }
        for device in ("mlx5_0", "mlx5_1")
    }
    problem = ({"device": "mlx5_0", "reason": "hang"}, 1.0)
    return (
        problem in page["nvtopo_rdma_problem"]
        and ports["mlx5_0"] <= {"nvtopo_rdma_problem", "nvtopo_rdma_firmware_info"}
        and "nvtopo_rdma_out_of_sequence_packets_received_total" in ports["mlx5_1"]
    )


def devices(samples: list[tuple[dict[str, str], float]]) -> set[str]:
    """Whose samples these are."""
    return {labels.get("device", "") for labels, _ in samples}


def unplug(node: Node) -> list[tuple[Path, Path]]:
    """Where each part of it went."""
    away = node.root / "away"
    away.mkdir()
    parts = (*LINKS, f"{DEVICES}/{ADDRESS}")
    return [((node.root / part).rename(away / str(number)), node.root / part) for number, part in enumerate(parts)]


def plug(away: list[tuple[Path, Path]]) -> None:
    for there, here in reversed(away):
        there.rename(here)
