"""Memory and CPUs of a container on a kernel with NUMA nodes and control groups of version 2, as its files say."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from fixtures.synthesize import pod_resources
from tests.vm.machine import Vm

pytestmark = pytest.mark.vm

_MEBIBYTE: Final = 1 << 20
_HELD: Final = 64 * _MEBIBYTE
_UID: Final = "0a1b2c3d-1111-2222-3333-444455556666"
_ID: Final = "0123456789abcdef" * 4
_ROOT: Final = "/sys/fs/cgroup"
_POD: Final = f"{_ROOT}/kubepods/burstable/pod{_UID}"
_LINK: Final = f"/var/log/containers/train-0_jobs_worker-{_ID}.log"
_SOCKET: Final = "/var/lib/kubelet/pod-resources/kubelet.sock"
#: As kubelet and runtime make it, controllers handed down. The container's memory is bound to node 1, its CPUs are not.
_MAKE: Final = f"""
import ctypes, os, pathlib, sys
if ctypes.CDLL(None, use_errno=True).mount(b"cgroup2", b"{_ROOT}", b"cgroup2", 0, None):
    sys.exit(os.strerror(ctypes.get_errno()))
for group in ("{_ROOT}", "{_ROOT}/kubepods", "{_ROOT}/kubepods/burstable", "{_POD}"):
    os.makedirs(group, exist_ok=True)
    pathlib.Path(group, "cgroup.subtree_control").write_text("+cpuset +memory")
os.mkdir("{_POD}/{_ID}")
pathlib.Path("{_POD}/{_ID}/cpuset.cpus").write_text("0-1")
pathlib.Path("{_POD}/{_ID}/cpuset.mems").write_text("1")
os.makedirs("/var/log/containers")
os.symlink("/var/log/pods/jobs_train-0_{_UID}/worker/0.log", "{_LINK}")
os.makedirs(os.path.dirname("{_SOCKET}"))
pathlib.Path("{_SOCKET}").write_bytes(bytes.fromhex(sys.argv[1]))
"""
_CLEAR: Final = f"""
import ctypes, os, shutil
for group in ("{_POD}/{_ID}", "{_POD}", "{_ROOT}/kubepods/burstable", "{_ROOT}/kubepods"):
    os.rmdir(group)
ctypes.CDLL(None).umount2(b"{_ROOT}", 0)
shutil.rmtree("/var/log/containers")
shutil.rmtree("/var/lib/kubelet")
"""
#: A process in the container that fills memory, anonymous and shared, says so and waits.
_WORK: Final = f"""
import mmap, pathlib, time
pathlib.Path("{_POD}/{_ID}/cgroup.procs").write_text("0")
kept = bytearray(b"x") * {_HELD}
shared = mmap.mmap(-1, {_HELD // 2})
for at in range(0, len(shared), 4096):
    shared[at] = 1
print("filled", flush=True)
time.sleep(600)
"""
_READ: Final = """
import msgspec
from nvtopo.sources.kubelet import pods
from nvtopo.sources.sysfs import SysfsRoot
print(msgspec.json.encode(pods.read(SysfsRoot())).decode())
"""


@pytest.fixture(scope="module")
def reading(vm: Vm) -> Iterator[Any]:
    """What the source reads while the container works; nothing is left of it."""
    device = {"resource_name": "nvidia.com/gpu", "device_ids": ["GPU-1"], "topology": {"nodes": [{"ID": 0}]}}
    answer = pod_resources.encoded(
        {"name": "train-0", "namespace": "jobs", "containers": [{"name": "worker", "devices": [device]}]}
    )
    vm.python("-c", _MAKE, answer.hex())
    pid = vm.start("python3", "-c", _WORK, log="/tmp/worker.log")  # noqa: S108 - the guest's own /tmp
    try:
        vm.wait_until_read("/tmp/worker.log", "filled", 60)  # noqa: S108 - as above
        yield json.loads(vm.python("-c", _READ).output)
    finally:
        vm.end(pid)
        vm.python("-c", _CLEAR)


def test_memory_is_where_the_kernel_put_it(reading: Any) -> None:
    containers, problems, _held = reading
    assert problems == []
    ((container),) = containers
    memory = container["memoryBytes"]
    assert memory["anon"]["1"] >= _HELD
    assert memory["anon"]["0"] < _MEBIBYTE
    assert _HELD // 2 <= memory["shmem"]["1"] < _HELD // 2 + _MEBIBYTE
    assert [kind["2"] for kind in memory.values()] == [0, 0, 0]


def test_cpus_are_those_that_it_may_use(reading: Any) -> None:
    (container,) = reading[0]
    assert (container["cpus"], container["numaNodes"]) == ("0-1", [0])
