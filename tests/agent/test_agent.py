import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nvtopo.agent import DEBOUNCE_SECONDS, Agent
from nvtopo.agent.http.page import Listen, MetricsPage
from nvtopo.errors import ReadError
from nvtopo.model.observation import Observation
from nvtopo.sinks.metrics import observation
from nvtopo.sinks.metrics.series import text
from nvtopo.sinks.publish.nfd import FeatureFile
from nvtopo.sinks.publish.sink import Sink
from nvtopo.sources.machine import Machine, NoNvml, NvmlReading
from nvtopo.sources.sysfs import SysfsRoot

HERE = Listen("127.0.0.1", 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with one NUMA node and nothing else."""
    node = tmp_path / "root" / "sys/devices/system/node/node0"
    node.mkdir(parents=True)
    (node / "cpulist").write_text("0-3\n")
    return tmp_path / "root"


@pytest.fixture
def features_d(tmp_path: Path) -> Path:
    path = tmp_path / "features.d"
    path.mkdir()
    return path


@pytest.fixture
def agent(root: Path, features_d: Path) -> Agent:
    machine = Machine(root=SysfsRoot(str(root)), nvml=NoNvml(), node_name="node-a")
    return Agent(machine, [FeatureFile(features_d, timedelta(minutes=15), lambda: datetime.now(UTC))])


def test_a_step_writes_the_feature_file(agent: Agent, features_d: Path) -> None:
    assert agent.step().topology.numa[0].cpus == "0-3"
    assert agent.delivered
    assert "nvtopo.io/gpu.count=0" in (features_d / "nvtopo").read_text()


def test_what_differs_between_two_readings_is_counted(agent: Agent, root: Path) -> None:
    agent.step()
    agent.step()
    page = text(agent.changes.part())
    assert 'nvtopo_topology_changes_total{fact="numa"} 0\n' in page
    (root / "sys/devices/system/node/node0/cpulist").write_text("0-7\n")
    agent.step()
    page = text(agent.changes.part())
    assert 'nvtopo_topology_changes_total{fact="numa"} 1\n' in page
    assert 'nvtopo_topology_changes_total{fact="gpus"} 0\n' in page


@pytest.mark.slow
def test_a_directory_that_is_missing_is_written_once_it_is_there(agent: Agent, features_d: Path) -> None:
    features_d.rmdir()
    agent.step()
    assert not agent.delivered
    features_d.mkdir()
    loop = threading.Thread(target=agent.run, args=(0.05,))
    loop.start()
    try:
        assert wait_until(lambda: agent.delivered)
    finally:
        agent.stop()
        loop.join()
    assert (features_d / "nvtopo").exists()


def wait_until(probe: object, seconds: float = 10) -> bool:
    assert callable(probe)
    pause, waited = threading.Event(), 0.0
    while not probe() and waited < seconds:
        pause.wait(0.02)
        waited += 0.02
    return bool(probe())


def fetched(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own URL
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Counting(Sink):
    """A sink that counts what it is given."""

    name = "counting"

    def __init__(self) -> None:
        self.writes = 0

    def write(self, observation: Observation) -> None:
        del observation
        self.writes += 1


def quiet(sink: Counting) -> int:
    """How many writes there were, once there are no more of them."""
    pause, seen = threading.Event(), -1
    while seen != sink.writes:
        seen = sink.writes
        pause.wait(3 * DEBOUNCE_SECONDS)
    return seen


@pytest.mark.slow
def test_a_burst_of_events_is_one_pass_and_the_slow_pass_needs_none(root: Path) -> None:
    sink = Counting()
    agent = Agent(Machine(root=SysfsRoot(str(root)), nvml=NoNvml()), [sink])
    loop = threading.Thread(target=agent.run, args=(600,))
    loop.start()
    try:
        before = quiet(sink)
        for _ in range(20):
            agent.wake()
            threading.Event().wait(0.01)
        assert before + 1 <= quiet(sink) <= before + 2
    finally:
        agent.stop()
        loop.join()
    slow = Agent(Machine(root=SysfsRoot(str(root)), nvml=NoNvml()), [sink])
    loop = threading.Thread(target=slow.run, args=(0.05,))
    loop.start()
    try:
        assert wait_until(lambda: sink.writes > before + 10)
    finally:
        slow.stop()
        loop.join()


class Hanging(NoNvml):
    """A driver that answers when the test lets it, and a deadline that never comes."""

    def __init__(self) -> None:
        self.answer = threading.Event()

    def finish(self) -> NvmlReading:
        assert self.answer.wait(30)
        return NvmlReading(None)


@pytest.mark.slow
def test_a_loop_that_is_stuck_is_not_alive_and_one_that_goes_on_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvtopo.agent._STUCK_SECONDS", 0.5)
    nvml = Hanging()
    agent = Agent(Machine(root=SysfsRoot(str(root)), nvml=nvml), [])
    loop = threading.Thread(target=agent.run, args=(0.1,))
    page = MetricsPage([], lambda: agent.delivered, lambda: agent.alive, listen=HERE)
    with page:
        assert fetched(f"{page.url}/healthz") == (200, "ok\n")
        loop.start()
        try:
            assert wait_until(
                lambda: (
                    fetched(f"{page.url}/healthz")
                    == (503, "the loop is stuck, or a thread has ended: the log says why\n")
                )
            )
            nvml.answer.set()
            assert wait_until(lambda: fetched(f"{page.url}/healthz")[0] == 200)
        finally:
            nvml.answer.set()
            agent.stop()
            loop.join()


class HangingLater(Hanging):
    """A driver that answers once, and then when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0

    def finish(self) -> NvmlReading:
        self.answers += 1
        return NvmlReading(None) if self.answers == 1 else super().finish()


@pytest.mark.slow
def test_an_old_reading_is_not_ready(root: Path) -> None:
    nvml = HangingLater()
    agent = Agent(Machine(root=SysfsRoot(str(root)), nvml=nvml), [])
    loop = threading.Thread(target=agent.run, args=(0.2,))
    loop.start()
    try:
        assert wait_until(lambda: agent.ready)
        assert wait_until(lambda: not agent.ready)
        assert agent.delivered, "the sinks have it, and it is old"
        nvml.answer.set()
        assert wait_until(lambda: agent.ready)
    finally:
        nvml.answer.set()
        agent.stop()
        loop.join()


def test_the_page_tells_the_truth_about_readiness(agent: Agent) -> None:
    with MetricsPage([observation.part(agent.latest)], lambda: agent.delivered, listen=HERE) as page:
        assert fetched(f"{page.url}/healthz")[0] == 200
        assert fetched(f"{page.url}/readyz")[0] == 503
        assert "nvtopo_observation_timestamp_seconds" not in fetched(f"{page.url}/metrics")[1]
        agent.step()
        assert fetched(f"{page.url}/readyz")[0] == 200
        assert "nvtopo_observation_timestamp_seconds" in fetched(f"{page.url}/metrics")[1]
        assert fetched(f"{page.url}/nothing")[0] == 404


def test_a_node_with_ipv6_alone_is_served(agent: Agent) -> None:
    agent.step()
    with MetricsPage([], lambda: agent.delivered, listen=Listen("::1", 0)) as page:
        assert fetched(f"{page.url}/readyz")[0] == 200


def test_an_address_in_use_is_said_in_one_line(agent: Agent) -> None:
    del agent
    with (
        MetricsPage([], lambda: True, listen=HERE) as page,
        pytest.raises(ReadError, match="cannot listen on"),
    ):
        MetricsPage([], lambda: True, listen=Listen("127.0.0.1", int(page.url.rpartition(":")[2])))
