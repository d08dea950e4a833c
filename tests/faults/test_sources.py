"""Each source hangs in turn while a GPU is lost: the loss is told all the same, and nothing is said of what hangs."""

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.faults.hang import Hang
from tests.faults.node import Agent, Node

pytestmark = pytest.mark.slow

NIC_LABELS: Final = ("nic.count", "nic.gpu-locality", "numa.gpu-aligned", "rdma.rails", "rdma.link-layer", "rdma.mtu")


class Hanging(NamedTuple):
    """What hangs, and who says so."""

    path: str
    source: str
    subject: str
    of_nics: bool = False
    """Whether labels of NICs go with it."""


HANGS: Final = {
    "host": Hanging("proc/sys/kernel/osrelease", "host", "host"),
    "numa": Hanging("sys/devices/system/node", "numa", "numa"),
    "pci-config": Hanging("sys/bus/pci/devices/0000:54:00.0/config", "pci", "0000:54:00.0/config", of_nics=True),
    "pci-function": Hanging("sys/bus/pci/devices/0000:54:00.0/", "pci", "0000:54:00.0", of_nics=True),
    "net-device": Hanging("sys/class/net/enp84s0np0/", "net", "enp84s0np0", of_nics=True),
    "net": Hanging("proc/net/route", "net", "net", of_nics=True),
    "rdma-device": Hanging("sys/class/infiniband/mlx5_0/", "rdma", "mlx5_0", of_nics=True),
    "nvme": Hanging("sys/class/nvme/nvme0/", "storage", "nvme0"),
    "kubelet": Hanging("var/lib/kubelet", "kubelet", "kubelet"),
}


@pytest.mark.parametrize("name", HANGS)
def test_a_gpu_is_lost_while_a_source_hangs(node: Node, tmp_path: Path, name: str) -> None:
    where = HANGS[name]
    hang = Hang(tmp_path)
    agent = node.start("--sample-interval", "0", environment=hang.environment)
    agent.eventually(lambda: node.labels().get("ready") == "true" and agent.ready(), "a healthy node")
    whole = node.labels()
    hang.begin(node.root / where.path)
    try:
        node.driver_is_like(lambda model: model["gpus"][3].update(lost=True))
        agent.says("cannot read", source=where.source, subject=where.subject, reason="no answer in time")
        agent.eventually(lambda: says_the_loss(node, agent), "the lost GPU in labels and page")
        agent.eventually(lambda: agent.value("nvtopo_problems", source=where.source), "the problem on the page")
        during = node.labels()
        assert not [label for label in NIC_LABELS if label in during] or not where.of_nics
        kept = {label for label in during.keys() & whole.keys() if label not in {"gpu.count", "ready"}}
        assert where.of_nics or {"nic.count", "rdma.rails"} <= kept
        agent.eventually(agent.ready, "a reading that is fresh")
        assert agent.alive()
    finally:
        hang.end()
    node.driver_is_like()
    agent.eventually(lambda: node.labels() == whole, "the labels from before")


def says_the_loss(node: Node, agent: Agent) -> bool:
    labels = node.labels()
    return (labels.get("gpu.count"), labels.get("ready")) == ("7", "false") and agent.value("nvtopo_gpus") == 7
