"""One pass: one derivation, and every sink sees the observation that it is to write."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nvtopo.agent import Agent
from nvtopo.kube.client import Client
from nvtopo.kube.connection import Connection
from nvtopo.kube.memory import MemoryStore
from nvtopo.model.conclusions.derive import derive
from nvtopo.model.observation import Observation
from nvtopo.sinks.publish.events import EventSink
from nvtopo.sinks.publish.nfd import FeatureFile
from nvtopo.sinks.publish.node_feature import NodeFeatureSink
from nvtopo.sinks.publish.resource import ResourceSink
from nvtopo.sinks.publish.sink import Sink
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot
from tests.calls import Calls
from tests.kube.fake_api_server import FakeApiServer
from tests.nfd.test_node_feature import FakeClient

CPUS = "sys/devices/system/node/node0/cpulist"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with one NUMA node and nothing else."""
    (tmp_path / "root" / CPUS).parent.mkdir(parents=True)
    (tmp_path / "root" / CPUS).write_text("0-3\n")
    return tmp_path / "root"


@pytest.fixture
def client() -> Iterator[Client]:
    with FakeApiServer() as server, Client(Connection(host=server.url)) as client:
        server.nodes["node-a"] = "uid-1"
        yield client


class Recorder(Sink):
    """A sink that keeps what it saw, and what it was to write."""

    name = "recorder"

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.written: list[Observation] = []

    def see(self, observation: Observation) -> None:
        self.seen.append(observation)

    def write(self, observation: Observation) -> None:
        self.written.append(observation)


def agent_of(root: Path, *sinks: Sink) -> Agent:
    return Agent(Machine(root=SysfsRoot(str(root)), nvml=NoNvml(), node_name="node-a"), sinks)


def test_a_pass_derives_once_for_all_its_sinks(root: Path, tmp_path: Path, client: Client) -> None:
    sinks = (
        FeatureFile(tmp_path, timedelta(minutes=15), lambda: datetime.now(UTC)),
        ResourceSink(MemoryStore(), "node-a"),
        NodeFeatureSink(FakeClient(), "node-a", "nvtopo"),
        EventSink(client, "node-a"),
    )
    agent = agent_of(root, *sinks)
    for cpus in ("0-3", "0-7", "0-7"):
        (root / CPUS).write_text(f"{cpus}\n")
        with Calls(derive) as calls:
            agent.step()
        assert calls.count == 1
        assert agent.delivered


def test_an_observation_says_what_changed_since_the_one_before(root: Path) -> None:
    recorder = Recorder()
    agent = agent_of(root, recorder)
    for cpus in ("0-3", "0-7", "0-7"):
        (root / CPUS).write_text(f"{cpus}\n")
        agent.step()
    first, second, third = recorder.seen
    assert recorder.written == recorder.seen
    assert (first.previous, first.changes) == (None, ())
    assert second.previous is first.topology
    assert [(change.subject, change.after) for change in second.changes] == [("NUMA node 0", "0-7")]
    assert third.previous is second.topology
    assert third.changes == ()
