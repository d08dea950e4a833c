"""A source that hangs, and one device of a source that hangs: the others are read all the same."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvtopo.model.conclusions import unread
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources import reading
from nvtopo.sources.guarded import Deadlines
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot
from tests.hosts.recorded import FIXTURES
from tests.machines import sysfs_text

pytestmark = pytest.mark.slow


class HangingRoot(SysfsRoot):
    """Whoever reads below ``prefix`` waits until the test is over."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.prefix = ""
        self.over = threading.Event()
        self.asked = 0

    def read(self, path: str, *, head: bool = False) -> bytes:
        if self.prefix and path.startswith(self.prefix):
            self.asked += 1
            self.over.wait(60)
        return super().read(path, head=head)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("machine")
    host = FIXTURES / "hosts" / "h100-sxm-8gpu-8cx7"
    sysfs_text.unpack((host / "sys.txt").read_text(encoding="utf-8"), root)
    return root


@pytest.fixture
def root(tree: Path) -> Iterator[HangingRoot]:
    hanging = HangingRoot(str(tree))
    yield hanging
    hanging.over.set()


@pytest.fixture
def machine(root: HangingRoot) -> Machine:
    return Machine(root=root, nvml=NoNvml(), deadlines=Deadlines(device_seconds=0.3, source_seconds=2.0))


def hung(snapshot: Snapshot) -> set[tuple[str, str]]:
    return {
        (problem.source, problem.subject) for problem in snapshot.problems if problem.reason.startswith(unread.HANGS)
    }


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("host", "/proc/sys/kernel/osrelease"),
        ("numa", "/sys/devices/system/node"),
        ("net", "/proc/net/route"),
        ("kubelet", "/var/lib/kubelet"),
    ],
)
def test_a_source_that_hangs_stops_no_other(machine: Machine, root: HangingRoot, source: str, path: str) -> None:
    before = reading.read(machine)
    assert not hung(before)
    root.prefix = path
    during = reading.read(machine)
    assert hung(during) == {(source, source)}
    assert getattr(during, source) is None
    others = {"host", "numa", "pci", "net", "rdma", "storage", "kubelet"} - {source}
    assert all(getattr(during, other) == getattr(before, other) for other in others - {"host"})
    asked = root.asked
    assert hung(reading.read(machine)) == {(source, source)}
    assert root.asked == asked, "it is not asked again while it hangs"


@pytest.mark.parametrize(
    ("source", "device", "path"),
    [
        ("net", "enp84s0np0", "/sys/class/net/enp84s0np0/"),
        ("rdma", "mlx5_0", "/sys/class/infiniband/mlx5_0/"),
        ("storage", "nvme0", "/sys/class/nvme/nvme0/"),
        ("pci", "0000:54:00.0", "/sys/bus/pci/devices/0000:54:00.0/"),
        ("pci", "0000:54:00.0/config", "/sys/bus/pci/devices/0000:54:00.0/config"),
    ],
)
def test_a_device_that_hangs_stops_no_other(
    machine: Machine, root: HangingRoot, source: str, device: str, path: str
) -> None:
    before = reading.read(machine)
    root.prefix = path
    during = reading.read(machine)
    assert (source, device) in hung(during)
    facts, whole = getattr(during, source), getattr(before, source)
    (field,) = [name for name in whole.__struct_fields__ if isinstance(getattr(whole, name), tuple)]
    lost = set(getattr(whole, field)) - set(getattr(facts, field))
    assert len(lost) == 1, "all others are as they were"


def test_a_function_that_hangs_keeps_its_place(machine: Machine, root: HangingRoot) -> None:
    before = reading.read(machine).pci
    root.prefix = "/sys/bus/pci/devices/0000:54:00.0/"
    during = reading.read(machine).pci
    assert before is not None
    assert during is not None
    assert [(one.address, one.path) for one in during.devices] == [(one.address, one.path) for one in before.devices]


def test_what_answers_again_is_read_again(machine: Machine, root: HangingRoot) -> None:
    before = reading.read(machine)
    root.prefix = "/proc/net/route"
    assert hung(reading.read(machine))
    root.prefix = ""
    root.over.set()
    for thread in threading.enumerate():
        if thread.name.startswith("call guard"):
            thread.join(10)
    after = reading.read(machine)
    assert not hung(after)
    assert after.net == before.net
