"""Who holds the node's devices, by a kubelet that answers and one that is not there."""

import queue
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.synthesize import pod_resources
from nvtopo.agent import Agent
from nvtopo.agent.holders import Asking, held
from nvtopo.model.observation import Observation
from nvtopo.model.records.allocation import Allocation, Held
from nvtopo.sinks.publish.sink import Sink
from nvtopo.sources.kubelet.pod_resources import SOCKET
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot
from tests.kube.machines import hgx
from tests.observations import observed
from tests.sources import kubelet_server as api


@pytest.fixture
def root() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="nv"))
    yield path
    shutil.rmtree(path)


def test_what_the_kubelet_says_is_found_among_what_the_node_has(root: Path) -> None:
    node = observed(hgx())
    uuid = node.topology.gpus[3].uuid
    with api.serving(root / SOCKET[1:]) as kubelet:
        kubelet.answer = lambda: pod_resources.encoded(api.pod("train-0", api.gpus("worker", uuid)))
        found = held(SysfsRoot(str(root)), node)
        kubelet.answer = pod_resources.encoded
        assert held(SysfsRoot(str(root)), node) == Allocation(containers=())
    assert found == Allocation(containers=(Held(namespace="jobs", pod="train-0", container="worker", gpus=(3,)),))


def test_a_kubelet_that_can_t_be_asked_makes_it_unknown(root: Path) -> None:
    node = observed(hgx())
    absent = held(SysfsRoot(str(root)), node)
    assert absent.unknown == f"{SOCKET}: no kubelet answers here; is its directory mounted (daemonset/components/pods)?"
    (root / SOCKET[1:]).parent.mkdir(parents=True)
    (root / SOCKET[1:]).write_bytes(b"\x0a\xff")
    broken = held(SysfsRoot(str(root)), node)
    assert broken.unknown.startswith(f"{SOCKET}: expected ListPodResourcesResponse: ")
    assert absent.gpus is broken.gpus is None


class Written(Sink):
    """Notes each write."""

    name = "allocation"

    def __init__(self) -> None:
        self.writes: queue.SimpleQueue[Observation] = queue.SimpleQueue()

    def write(self, observation: Observation) -> None:
        self.writes.put(observation)


class Other(Written):
    """Of another name."""

    name = "other"


def test_the_sink_of_that_name_gets_the_latest_reading_again_and_no_other_does(root: Path) -> None:
    asked, other = Written(), Other()
    agent = Agent(Machine(root=SysfsRoot(str(root)), nvml=NoNvml(), node_name="a"), [asked, other])
    agent.offer_again("allocation")  # nothing has been read
    first = agent.step()
    for delivery in agent._deliveries:
        delivery.__enter__()
    try:
        with Asking(lambda: agent.offer_again("allocation"), seconds=0.01):
            assert [asked.writes.get(timeout=10) for _ in range(3)] == [first] * 3
    finally:
        for delivery in agent._deliveries:
            delivery.__exit__(None, None, None)
    assert other.writes.get(timeout=10) is first
    assert other.writes.empty()
