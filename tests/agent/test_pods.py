"""The watch beside the loop, on a kubelet that answers, goes and hangs."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.synthesize import pod_resources
from nvtopo.agent.parts import pods
from nvtopo.model.conclusions.assemble import assemble
from nvtopo.sinks.metrics.series import text
from nvtopo.sources.capture import read_capture
from nvtopo.sources.kubelet.pod_resources import SOCKET
from nvtopo.sources.kubelet.pods import PodsReading
from nvtopo.sources.kubelet.pods import read as read_pods
from nvtopo.sources.sysfs import SysfsRoot
from tests.agent.test_page import wait_until
from tests.hosts.recorded import FIXTURES
from tests.observations import observed
from tests.sources import kubelet_server as api

HOSTS = FIXTURES / "hosts"


@pytest.fixture
def root() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="nv"))
    yield path
    shutil.rmtree(path)


def test_it_follows_a_kubelet_that_comes_and_goes(root: Path) -> None:
    with pods.PodsWatch(SysfsRoot(str(root)), interval_seconds=0.05) as watch:
        assert watch.wait(10)
        assert watch.latest() == PodsReading()
        with api.serving(root / SOCKET[1:]) as kubelet:
            kubelet.answer = lambda: pod_resources.encoded(api.pod("train-0", api.gpus("worker", "GPU-1")))
            assert wait_until(lambda: reasons(watch) == {"no links to containers' logs: is it the host's?"})
        assert wait_until(lambda: reasons(watch) in ({"Connection refused"}, set()))


def test_a_reading_that_hangs_is_a_problem_and_not_the_last_good_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "_SLACK_SECONDS", 0.1)
    hanging = HangsLater(str(root))
    with pods.PodsWatch(hanging, interval_seconds=0.05) as watch:
        assert watch.wait(10)
        assert wait_until(lambda: reasons(watch) == {"a reading hangs"})
        hanging.released.set()


class HangsLater(SysfsRoot):
    """The first reading is fast, the second waits."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.released = threading.Event()
        self._readings = 0

    def read(self, path: str, *, head: bool = False) -> bytes:
        self._readings += 1
        if self._readings > 1:
            self.released.wait(30)
        return super().read(path, head=head)


def reasons(watch: pods.PodsWatch) -> set[str]:
    return {problem.reason for problem in watch.latest().problems}


def test_without_an_observation_or_a_container_there_is_no_series() -> None:
    assert text(pods.part(PodsReading, lambda: None)()) == ""


def test_a_pod_with_gpus_of_two_groups_while_one_group_was_free_is_on_the_page(root: Path) -> None:
    """Bridged pairs {0,1} {2,3} …, by the kubelet's own words: one pod across two pairs, another on half of a third."""
    node = assemble(read_capture(HOSTS / "h100-nvl-pairs" / "capture.json"))
    uuids = [gpu.uuid for gpu in node.gpus]
    across = api.pod("across", api.gpus("worker", uuids[1], uuids[2]))
    half = api.pod("half", api.gpus("worker", uuids[4]))
    with api.serving(root / SOCKET[1:]) as kubelet:
        kubelet.answer = lambda: pod_resources.encoded(across, half)
        reading = read_pods(SysfsRoot(str(root)))
    page = text(pods.part(lambda: reading, lambda: observed(node))())
    assert 'nvtopo_pod_nvlink_groups{namespace="jobs",pod="across"} 2\n' in page
    assert 'nvtopo_pod_nvlink_groups_possible{namespace="jobs",pod="across"} 1\n' in page
    assert 'nvtopo_pod_nvlink_groups{namespace="jobs",pod="half"} 1\n' in page
    assert "nvtopo_pod_far_gpus{" not in page, "no pod holds a NIC"
