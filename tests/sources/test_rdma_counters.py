"""RDMA counters from recorded trees: exact, in the units of the files, and without what is not there."""

import errno
from pathlib import Path

import pytest

from nvtopo.model.samples.rdma_counters import MEANINGS, DeviceReading, counted
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.rdma import devices
from nvtopo.sources.rdma import devices as rdma
from nvtopo.sources.rdma.counters import CounterReader
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot
from tests.hosts.recorded import HOSTS
from tests.machines import sysfs_text

PORT = "/sys/class/infiniband/mlx5_0/ports/1"


class Clock:
    """Time that passes when it is told to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "state": "4: ACTIVE",
        "phys_state": "5: LinkUp",
        "rate": "400 Gb/sec (4X NDR)",
        "counters/port_xmit_data": "1000",
        "counters/symbol_error": "0",
        "counters/link_downed": "N/A (no PMA)",
        "hw_counters/out_of_sequence": "18446744073709551615",
        "hw_counters/Nak Sequence Error": "2",
        "hw_counters/lifespan": "10",
        "gid_attrs/ndevs/0": "enp1s0np0",
    }
    for name, text in files.items():
        file = tmp_path / f"{PORT[1:]}/{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    netdev = tmp_path / "sys/class/net/enp1s0np0"
    netdev.mkdir(parents=True)
    (netdev / "carrier_down_count").write_text("3\n")
    return tmp_path


def test_what_a_port_counts(tree: Path) -> None:
    reading = CounterReader(SysfsRoot(str(tree)), traffic=True).read("mlx5_0", [1, 2])
    (port,) = reading.ports
    assert (port.state, port.physical_state, port.rate_bytes_per_second) == ("ACTIVE", "LinkUp", 50_000_000_000)
    assert port.counters == {
        "counters/port_xmit_data": 1000,
        "counters/symbol_error": 0,
        "hw_counters/out_of_sequence": 2**64 - 1,
        "hw_counters/Nak Sequence Error": 2,
    }
    assert port.carrier_down == 3
    assert not reading.unreadable, "a counter that the NIC does not have is no problem"


def test_traffic_is_left_to_others(tree: Path) -> None:
    (port,) = CounterReader(SysfsRoot(str(tree)), traffic=False).read("mlx5_0", [1]).ports
    assert "counters/port_xmit_data" not in port.counters


def test_a_device_that_is_gone_has_no_ports(tree: Path) -> None:
    reader = CounterReader(SysfsRoot(str(tree)), traffic=True)
    assert reader.read("mlx5_1", [1]) == DeviceReading(name="mlx5_1")


@pytest.mark.parametrize("text", ["twelve", "-1", "0x10", "", "18446744073709551616"])
def test_what_is_no_count_is_none(tree: Path, text: str) -> None:
    (tree / f"{PORT[1:]}/counters/symbol_error").write_text(f"{text}\n")
    reading = CounterReader(SysfsRoot(str(tree)), traffic=True).read("mlx5_0", [1])
    assert "counters/symbol_error" not in reading.ports[0].counters
    assert reading.unreadable


def test_an_error_is_a_problem_and_the_others_are_read(tree: Path) -> None:
    root = SysfsRoot(str(tree), {f"{PORT}/counters/symbol_error": errno.EIO})
    reading = CounterReader(root, traffic=True).read("mlx5_0", [1])
    assert reading.unreadable
    assert sorted(reading.ports[0].counters) == [
        "counters/port_xmit_data",
        "hw_counters/Nak Sequence Error",
        "hw_counters/out_of_sequence",
    ]


class Asked(SysfsRoot):
    """A recorded machine that remembers what it was asked."""

    def __init__(self, root: str, failures: dict[str, int]) -> None:
        super().__init__(root, failures)
        self.asked: list[str] = []

    def read(self, path: str, *, head: bool = False) -> bytes:
        self.asked.append(path)
        return super().read(path, head=head)


def test_a_file_that_refuses_is_left_alone_for_a_while(tree: Path) -> None:
    file, clock = f"{PORT}/hw_counters/out_of_sequence", Clock()
    failures = {file: errno.EINVAL}
    root = Asked(str(tree), failures)
    reader = CounterReader(root, traffic=True, clock=clock)
    for _ in range(5):
        reading = reader.read("mlx5_0", [1])
        assert "hw_counters/out_of_sequence" not in reading.ports[0].counters
        assert not reading.unreadable
    assert root.asked.count(file) == 1
    clock.seconds = 601.0
    reader.read("mlx5_0", [1])
    assert root.asked.count(file) == 2


def test_a_device_that_refuses_everything_is_asked_little(tmp_path: Path) -> None:
    """A function that manages a board's NVSwitches, and nobody knows: VPD is readable to root only."""
    host = next(host for host in HOSTS if host.name == "b200-nvswitch-mgmt-nics")
    lines = [line for line in (host / "sys.txt").read_text().splitlines() if "/infiniband/" in line]
    failures = sysfs_text.unpack("\n".join(lines), tmp_path)
    root = Asked(str(tmp_path), {path: getattr(errno, name) for path, name in failures.items()})
    (device, *_) = sorted(
        {path.split("/")[4] for path in failures if path.startswith("/sys/class/") and "counters/" in path}
    )
    reader = CounterReader(root, traffic=True)
    for _ in range(5):
        (port,) = reader.read(device, [1]).ports
        assert (port.state, port.counters) == ("ACTIVE", {})
    assert sum("counters/" in path for path in root.asked) == 8, "four of each folder, once"


@pytest.fixture(params=HOSTS, ids=[host.name for host in HOSTS])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Machine]:
    """A recorded machine's RDMA devices, and what tells its management functions apart."""
    lines = (request.param / "sys.txt").read_text().splitlines()
    text = "\n".join(line for line in lines if "/infiniband/" in line or "/vpd " in line)
    failures = sysfs_text.unpack(text, tmp_path)
    numbers = {path: getattr(errno, name) for path, name in failures.items()}
    return tmp_path, Machine(root=SysfsRoot(str(tmp_path), numbers), nvml=NoNvml())


@pytest.mark.slow
def test_sums_over_a_recorded_machine_are_exact(machine: tuple[Path, Machine]) -> None:
    folder, live = machine
    facts = rdma.read(live).facts
    reader = CounterReader(live.root, traffic=True)
    sums: dict[tuple[str, str], int] = {}
    for device in getattr(facts, "devices", ()):
        for port in reader.read(device.name, [port.number for port in device.ports]).ports:
            for key, value in counted(port.counters).values.items():
                sums[key] = sums.get(key, 0) + value
    assert sums == _sums_of_files(folder)


def _sums_of_files(folder: Path) -> dict[tuple[str, str], int]:
    """The same from the files themselves, found without the reader; empty ones are those that fail when read."""
    sums: dict[tuple[str, str], int] = {}
    for file in (folder / "sys/devices").glob("**/infiniband/*/ports/*/*counters/*"):
        meaning = MEANINGS.get(f"{file.parent.name}/{file.name}")
        if meaning is not None and (text := file.read_text()):
            key = meaning.family, meaning.kind
            sums[key] = sums.get(key, 0) + int(text) * meaning.unit
    return sums


@pytest.mark.parametrize("text", ["0 GB/sec", "0 Gb/sec (4X)"])
def test_a_port_without_a_rate_is_a_state_and_no_problem(tree: Path, text: str) -> None:
    (tree / PORT[1:] / "rate").write_text(f"{text}\n")
    reader = SysfsReader(SysfsRoot(str(tree)), "rdma")
    assert devices.rate(reader, f"{PORT}/rate") is None
    assert reader.problems == []
