"""RDMA by verbs on a machine without RDMA: absent, broken and lying libraries. Real answers come in tests/vm."""

import ctypes
import errno
import logging
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nvtopo.model.records.facts import RdmaFacts
from nvtopo.model.records.record import Problem
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.rdma import devices as rdma
from nvtopo.sources.rdma import verbs
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

#: A libibverbs of one device `mlx5_0`, whose `fails` says which call does not work and with which errno.
LIBRARY = """
#include <errno.h>
#include <stdint.h>
#include <string.h>
int fails, with, opened, largest = 5;
static int devices[1];
void *list[2] = {&devices[0], 0};
void **ibv_get_device_list(int *count) {
    if (fails == 1) { errno = with; return 0; }
    *count = 1;
    return list;
}
void ibv_free_device_list(void **unused) { (void)unused; }
const char *ibv_get_device_name(void *unused) { (void)unused; return "mlx5_0"; }
void *ibv_open_device(void *unused) {
    (void)unused;
    if (fails == 2) { errno = with; return 0; }
    opened++;
    return devices;
}
int ibv_close_device(void *unused) { (void)unused; opened--; return 0; }
int ibv_query_port(void *unused, uint8_t port, void *attributes) {
    int32_t answer[3] = {4, largest, 3};
    (void)unused;
    if (fails == 3 || port != 1) return with ? with : EINVAL;
    memcpy(attributes, answer, sizeof answer);
    return 0;
}
"""
NOWHERE, LIST, OPEN, QUERY = range(4)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libibverbs")
    (folder / "verbs.c").write_text(LIBRARY)
    target = folder / "libibverbs.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(target), str(folder / "verbs.c")], check=True, timeout=60)
    return target


@pytest.fixture
def library(built: Path) -> Iterator[ctypes.CDLL]:
    library = ctypes.CDLL(str(built), use_errno=True)
    set_number(library, "fails", NOWHERE)
    set_number(library, "with", 0)
    set_number(library, "largest", 5)
    yield library
    assert ctypes.c_int.in_dll(library, "opened").value == 0, "a device file stayed open"


def set_number(library: ctypes.CDLL, name: str, value: int) -> None:
    ctypes.c_int.in_dll(library, name).value = value


def test_libibverbs_answers_in_bytes(library: ctypes.CDLL) -> None:
    answer = verbs.LibibverbsBackend(library).port("mlx5_0", 1)
    assert answer == verbs.VerbsPort(active_mtu_bytes=1024, max_mtu_bytes=4096, state=4)


@pytest.mark.parametrize(
    ("where", "number", "says"),
    [
        (LIST, errno.ENOSYS, "ibv_get_device_list: Function not implemented"),
        (OPEN, errno.EACCES, "ibv_open_device: Permission denied"),
        (QUERY, errno.ENODEV, "ibv_query_port: No such device"),
    ],
)
def test_each_call_that_fails_says_why(library: ctypes.CDLL, where: int, number: int, says: str) -> None:
    set_number(library, "fails", where)
    set_number(library, "with", number)
    with pytest.raises(verbs.VerbsError, match=says):
        verbs.LibibverbsBackend(library).port("mlx5_0", 1)


def test_a_device_without_its_provider_is_missing_from_the_list(library: ctypes.CDLL) -> None:
    with pytest.raises(verbs.VerbsError, match="no such device"):
        verbs.LibibverbsBackend(library).port("bnxt_re0", 1)


def test_an_mtu_that_verbs_cannot_mean_is_no_number(library: ctypes.CDLL) -> None:
    set_number(library, "largest", 0)
    with pytest.raises(verbs.VerbsError, match="expected MTUs from 1 to 5"):
        verbs.LibibverbsBackend(library).port("mlx5_0", 1)


def test_without_any_library_there_is_no_way_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyverbs.device", None)
    monkeypatch.setattr(verbs, "_libibverbs", lambda: None)
    assert verbs.backend() is None


def test_what_is_no_libibverbs_is_not_taken_for_one() -> None:
    assert verbs._libibverbs("libibverbs-that-nobody-has.so") is None
    assert verbs._libibverbs("libc.so.6") is None


def pyverbs(monkeypatch: pytest.MonkeyPatch, context: Any) -> None:
    """A pyverbs that does on import what the real one does."""
    module = types.ModuleType("pyverbs.device")
    module.Context = context  # type: ignore[attr-defined]

    def imported(name: str) -> types.ModuleType:
        assert name == "pyverbs.device"
        logging.basicConfig(level=logging.INFO, force=True)
        return module

    monkeypatch.setattr("importlib.import_module", imported)


class Context:
    """A port that is active at 2048 bytes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def query_port(self, number: int) -> Any:
        return types.SimpleNamespace(active_mtu=4, max_mtu=5, state=4, number=number)

    def close(self) -> None:
        self.name = "closed"


class NoContext:
    """What the wheel that brings its own libraries says on a machine that has the device."""

    def __init__(self, name: str) -> None:
        raise RuntimeError(f"Failed to find an RDMA device {name}")


def test_importing_pyverbs_does_not_touch_our_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    pyverbs(monkeypatch, Context)
    assert verbs._pyverbs() is not None
    assert (list(root.handlers), root.level) == before


def test_pyverbs_is_asked_first(monkeypatch: pytest.MonkeyPatch, library: ctypes.CDLL) -> None:
    pyverbs(monkeypatch, Context)
    monkeypatch.setattr(verbs, "_libibverbs", lambda: verbs.LibibverbsBackend(library))
    backend = verbs.backend()
    assert backend is not None
    assert backend.port("mlx5_0", 1).active_mtu_bytes == 2048


def test_where_pyverbs_finds_nothing_libibverbs_is_asked(monkeypatch: pytest.MonkeyPatch, library: ctypes.CDLL) -> None:
    pyverbs(monkeypatch, NoContext)
    monkeypatch.setattr(verbs, "_libibverbs", lambda: verbs.LibibverbsBackend(library))
    backend = verbs.backend()
    assert backend is not None
    assert backend.port("mlx5_0", 1).active_mtu_bytes == 1024
    with pytest.raises(verbs.VerbsError, match=r"pyverbs: Failed to find .*; libibverbs has no such device"):
        backend.port("mlx5_9", 1)


def rdma_machine(root: Path) -> None:
    """One RoCE device whose device file is uverbs0."""
    files = {
        "class/infiniband/mlx5_0/ports/1/state": "4: ACTIVE",
        "class/infiniband/mlx5_0/ports/1/link_layer": "Ethernet",
        "class/infiniband_verbs/uverbs0/ibdev": "mlx5_0",
    }
    for name, text in files.items():
        (root / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys" / name).write_text(text + "\n")


class Live(SysfsRoot):
    """A recorded tree that says it is this machine."""

    live = True


def read(root: SysfsRoot) -> tuple[list[int | None], tuple[Problem, ...]]:
    reading = rdma.read(Machine(root=root, nvml=NoNvml()))
    ports = [port for device in getattr(reading.facts, "devices", ()) for port in device.ports]
    return [port.active_mtu_bytes for port in ports], reading.problems


@pytest.fixture
def device_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rdma_machine(tmp_path)
    monkeypatch.setattr(rdma, "_DEVICE_FILES", str(tmp_path / "dev"))
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/uverbs0").touch()
    return tmp_path / "dev/uverbs0"


def use(monkeypatch: pytest.MonkeyPatch, backend: verbs.VerbsBackend | None) -> None:
    monkeypatch.setattr(verbs, "backend", lambda: backend)


def test_the_port_gets_its_active_mtu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_file: Path, library: ctypes.CDLL
) -> None:
    assert device_file.exists()
    use(monkeypatch, verbs.LibibverbsBackend(library))
    assert read(Live(str(tmp_path))) == ([1024], ())


def test_a_failure_is_a_problem_and_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_file: Path, library: ctypes.CDLL
) -> None:
    assert device_file.exists()
    set_number(library, "fails", OPEN)
    set_number(library, "with", errno.EACCES)
    use(monkeypatch, verbs.LibibverbsBackend(library))
    reason = "verbs: ibv_open_device: Permission denied"
    # The stand-in tree has folders where sysfs has links.
    monkeypatch.setattr(SysfsReader, "target", lambda _self, path: path)
    assert read(Live(str(tmp_path))) == ([None], (Problem(source="rdma", subject="mlx5_0/1", reason=reason),))


def test_a_device_file_that_does_not_open_is_a_problem_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_file: Path
) -> None:
    """libibverbs would wait five seconds for udev to make a better one."""
    device_file.unlink()
    device_file.mkdir()
    monkeypatch.setattr(verbs, "backend", lambda: pytest.fail("asked"))
    monkeypatch.setattr(SysfsReader, "target", lambda _self, path: path)
    problem = Problem(source="rdma", subject=str(device_file), reason="Is a directory")
    assert read(Live(str(tmp_path))) == ([None], (problem,))


def test_a_device_file_of_another_device_is_a_problem_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_file: Path
) -> None:
    (tmp_path / "sys/class/infiniband_verbs/uverbs0/dev").write_text("231:192\n")
    monkeypatch.setattr(verbs, "backend", lambda: pytest.fail("asked"))
    problem = Problem(source="rdma", subject=str(device_file), reason="is device 0:0, and mlx5_0 is 231:192")
    assert read(Live(str(tmp_path))) == ([None], (problem,))


def test_a_device_that_went_away_meanwhile_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_file: Path, library: ctypes.CDLL
) -> None:
    assert device_file.exists()
    set_number(library, "fails", OPEN)
    set_number(library, "with", errno.ENODEV)
    use(monkeypatch, verbs.LibibverbsBackend(library))
    monkeypatch.setattr(SysfsReader, "target", lambda _self, _path: None)
    assert read(Live(str(tmp_path))) == ([None], ())


@pytest.mark.parametrize("case", ["recorded", "recorded failures", "no device file"])
def test_verbs_are_not_asked_of(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_file: Path) -> None:
    """A recorded machine, or a device that this container was not given."""
    monkeypatch.setattr(verbs, "backend", lambda: pytest.fail("asked"))
    if case == "no device file":
        device_file.unlink()
    root = {
        "recorded": SysfsRoot(str(tmp_path)),
        "recorded failures": SysfsRoot(str(tmp_path), {"/sys/class/nvme": errno.EIO}),
        "no device file": Live(str(tmp_path)),
    }[case]
    assert read(root) == ([None], ())


def test_only_the_root_itself_is_live() -> None:
    assert SysfsRoot("/").live
    assert not SysfsRoot("/recorded").live
    assert not SysfsRoot("/", {"/sys/class/nvme": errno.EIO}).live


def test_a_software_device_stands_on_its_netdev_s_function(tmp_path: Path) -> None:
    """rdma_rxe and siw have no ``device``: their ``parent`` names the netdev."""
    rdma_machine(tmp_path)
    (tmp_path / "sys/class/infiniband/mlx5_0/parent").write_text("ens1\n")
    (tmp_path / "sys/class/net").mkdir()
    (tmp_path / "sys/class/net/ens1").symlink_to("../../devices/pci0000:80/0000:80:01.0/0000:88:00.0/net/ens1")
    facts = rdma.read(Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml())).facts
    assert isinstance(facts, RdmaFacts)
    (device,) = facts.devices
    assert (device.pci_address, device.netdevs) == ("0000:88:00.0", ("ens1",))


@pytest.mark.slow
def test_a_machine_without_rdma_imports_nothing_for_it() -> None:
    program = (
        "import sys; from nvtopo.sources.rdma import devices;"
        "from nvtopo.sources.machine import Machine, NoNvml;"
        "from nvtopo.sources.sysfs import SysfsRoot; devices.read(Machine(root=SysfsRoot('/nowhere'), nvml=NoNvml()));"
        "print([name for name in sys.modules if 'verbs' in name or name in ('ctypes', 'logging')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
