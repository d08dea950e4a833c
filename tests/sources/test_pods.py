"""Containers with GPUs: the kubelet's answer by a real gRPC server, and cgroup trees of every runtime."""

import errno
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.synthesize import pod_resources
from nvtopo.model.samples.pods import GpuContainer
from nvtopo.sources.kubelet import pods
from nvtopo.sources.kubelet.pod_resources import SOCKET, containers_in
from nvtopo.sources.sysfs import SysfsRoot
from tests.sources import kubelet_server as api

UUID = "GPU-11111111-2222-3333-4444-555555555555"
UID = "0a1b2c3d-1111-2222-3333-444455556666"
ID = "f" * 12 + "0123456789abcdef" * 3 + "0123"
NUMA_STAT = "anon N0=4096 N1=8192\nfile N0=1000 N1=5000\nkernel_stack N0=7 N1=7\nshmem N0=0 N1=3000\n"
BESIDE: list[dict[str, Any]] = [
    {"name": "sidecar", "cpu_ids": [1]},
    {"name": "nic", "devices": [{"resource_name": "nvidia.com/hostdev", "device_ids": ["0000:1a:00.0"]}]},
]


@pytest.fixture
def root() -> Iterator[Path]:
    """A short path: a unix socket's may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="nv"))
    yield path
    shutil.rmtree(path)


def write(root: Path, path: str, content: str | bytes) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def run(root: Path, name: str, scope: str, *, pod: str = "train-0", id_: str = ID) -> None:
    """A container of that pod as kubelet and runtime leave it; ``scope`` is its cgroup."""
    write(root, f"{scope}/memory.numa_stat", NUMA_STAT)
    write(root, f"{scope}/cpuset.cpus.effective", "0-3\n")
    write(root, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu memory\n")
    link = root / "var/log/containers" / f"{pod}_jobs_{name}-{id_}.log"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"/var/log/pods/jobs_{pod}_{UID}/{name}/0.log")


def read(root: Path) -> pods.PodsReading:
    return pods.read(SysfsRoot(str(root)))


SYSTEMD = "/sys/fs/cgroup/kubepods.slice"
SLICE = f"pod{UID.replace('-', '_')}.slice"
SCOPES = {
    "containerd-guaranteed": f"{SYSTEMD}/kubepods-{SLICE}/cri-containerd-{ID}.scope",
    "containerd-burstable": f"{SYSTEMD}/kubepods-burstable.slice/kubepods-burstable-{SLICE}/cri-containerd-{ID}.scope",
    "crio-besteffort": f"{SYSTEMD}/kubepods-besteffort.slice/kubepods-besteffort-{SLICE}/crio-{ID}.scope",
    "cgroupfs-guaranteed": f"/sys/fs/cgroup/kubepods/pod{UID}/{ID}",
    "cgroupfs-burstable": f"/sys/fs/cgroup/kubepods/burstable/pod{UID}/{ID}",
    "cgroup-root": f"/sys/fs/cgroup/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-{SLICE}/crio-{ID}.scope",
}


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
def test_a_container_s_memory_and_cpus_by_runtime_and_cgroup_driver(root: Path, scope: str) -> None:
    run(root, "worker", scope)
    write(root, f"{Path(scope).parent}/crio-conmon-{ID}.scope/memory.numa_stat", "anon N0=1\n")
    with api.serving(root / SOCKET[1:]) as kubelet:
        containers = *BESIDE, api.gpus("worker", UUID, nodes=(1,))
        kubelet.answer = lambda: pod_resources.encoded(api.pod("train-0", *containers))
        reading = read(root)
    assert reading.problems == ()
    assert reading.containers == (
        GpuContainer(
            namespace="jobs",
            pod="train-0",
            container="worker",
            devices=(UUID,),
            numa_nodes=(1,),
            memory_bytes={"anon": {0: 4096, 1: 8192}, "file": {0: 1000, 1: 2000}, "shmem": {0: 0, 1: 3000}},
            cpus="0-3",
        ),
    )


def test_without_a_kubelet_there_is_nothing_and_no_problem(root: Path) -> None:
    assert read(root) == pods.PodsReading()


def test_a_container_that_ended_has_no_cgroup_and_its_successor_has(root: Path) -> None:
    scope = SCOPES["containerd-guaranteed"]
    run(root, "worker", scope)
    run(root, "init", scope.replace(ID, "a" * 64), id_="b" * 64)
    link = root / "var/log/containers" / f"train-0_jobs_worker-{'c' * 64}.log"
    link.symlink_to(f"/var/log/pods/jobs_train-0_{UID}/worker/1.log")
    write(root, SOCKET, pod_resources.encoded(api.pod("train-0", api.gpus("worker", UUID), api.gpus("init", UUID))))
    reading = read(root)
    assert [container.container for container in reading.containers] == ["worker"]
    assert reading.problems == ()


def test_a_long_name_cuts_the_id_in_the_link(root: Path) -> None:
    pod = "p" * 200
    run(root, "worker", SCOPES["containerd-guaranteed"], pod=pod, id_=ID[:30])
    write(root, SOCKET, pod_resources.encoded(api.pod(pod, api.gpus("worker", UUID))))
    assert len(read(root).containers) == 1


def test_shares_mig_devices_and_claims_are_gpus_and_other_claims_are_not(root: Path) -> None:
    run(root, "worker", SCOPES["cgroupfs-burstable"])
    container = api.gpus("worker", f"{UUID}::2", resource="nvidia.com/gpu.shared")
    container["devices"].append({"resource_name": "nvidia.com/mig-1g.10gb", "device_ids": ["MIG-6666"]})
    container |= {"dynamic_resources": api.claim("", "gpu-3", "gpu-4-mig-9-0-4")["dynamic_resources"]}
    other = api.claim("other", "channel-0", driver="compute-domain.nvidia.com")
    write(root, SOCKET, pod_resources.encoded(api.pod("train-0", container, other)))
    (found,) = read(root).containers
    assert found.devices == (f"{UUID}::2", "MIG-6666", "gpu.nvidia.com/gpu-3", "gpu.nvidia.com/gpu-4-mig-9-0-4")
    assert {one.name: [device.id for device in one.devices] for one in read(root).held} == {
        "worker": [f"{UUID}::2", "MIG-6666", "gpu-3", "gpu-4-mig-9-0-4"],
        "other": ["channel-0"],
    }


def test_a_container_that_has_not_started_holds_its_devices_already(root: Path) -> None:
    write(root, SOCKET, pod_resources.encoded(api.pod("train-0", api.gpus("worker", UUID), *BESIDE)))
    reading = read(root)
    assert reading.containers == ()
    assert {one.name: one.devices[0].of for one in reading.held} == {
        "worker": "nvidia.com/gpu",
        "nic": "nvidia.com/hostdev",
    }


def problems(root: Path) -> list[tuple[str, str]]:
    reading = read(root)
    assert reading.containers == ()
    return [(problem.subject, problem.reason) for problem in reading.problems]


def test_a_kubelet_that_refuses_says_why(root: Path) -> None:
    def refuse() -> bytes:
        raise PermissionError("rejected by rate limit")

    with api.serving(root / SOCKET[1:]) as kubelet:
        kubelet.answer = refuse
        assert problems(root) == [(SOCKET, "gRPC status 8: rejected by rate limit")]


@pytest.mark.slow
def test_a_kubelet_that_hangs_is_left_after_the_deadline(root: Path) -> None:
    with api.serving(root / SOCKET[1:]) as kubelet:
        kubelet.hang.clear()
        began = time.monotonic()
        assert problems(root) == [(SOCKET, "no answer within 2 s")]
        assert time.monotonic() - began < 10
        kubelet.hang.set()
        assert read(root) == pods.PodsReading()


def test_a_kubelet_that_went_is_a_refused_connection(root: Path) -> None:
    (root / SOCKET[1:]).parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(root / SOCKET[1:]))
    assert problems(root) == [(SOCKET, "Connection refused")]


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64], ids=["nothing", "http1", "zeros"]
)
def test_something_else_behind_the_socket_is_a_problem(root: Path, said: bytes) -> None:
    (root / SOCKET[1:]).parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / SOCKET[1:]))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        ((subject, _),) = problems(root)
        thread.join()
    assert subject == SOCKET


def test_a_socket_that_is_root_s_is_a_problem_for_others(root: Path) -> None:
    (problem,) = pods.read(SysfsRoot(str(root), {SOCKET: errno.EACCES})).problems
    assert (problem.subject, problem.reason) == (SOCKET, "Permission denied")


def test_an_answer_that_is_cut_is_a_problem(root: Path) -> None:
    write(root, SOCKET, pod_resources.encoded(api.pod("train-0", api.gpus("worker", UUID)))[:-3])
    ((subject, reason),) = problems(root)
    assert subject == SOCKET
    assert reason.startswith("expected ListPodResourcesResponse: ")


def test_a_container_s_own_cgroup_mount_and_cgroup_v1_are_problems(root: Path) -> None:
    write(root, SOCKET, pod_resources.encoded(api.pod("train-0", api.gpus("worker", UUID))))
    assert problems(root) == [("/var/log/containers", "no links to containers' logs: is it the host's?")]
    run(root, "worker", "/sys/fs/cgroup/elsewhere")
    assert problems(root) == [
        ("/sys/fs/cgroup", "no kubepods below it: is it the host's, or this container's own?"),
    ]
    (root / "sys/fs/cgroup/cgroup.controllers").unlink()
    ((subject, reason),) = problems(root)
    assert (subject, reason[:18]) == ("/sys/fs/cgroup", "expected cgroup v2")


@pytest.mark.slow
def test_more_containers_than_there_can_be_are_cut_and_said(root: Path) -> None:
    names = [f"c{number:03}" for number in range(pods.MOST_CONTAINERS + 5)]
    for number, name in enumerate(names):
        run(root, name, f"/sys/fs/cgroup/kubepods/pod{UID}/{number:064x}", id_=f"{number:064x}")
    write(
        root, SOCKET, pod_resources.encoded(api.pod("train-0", *(api.gpus(name, f"{UUID}::{name}") for name in names)))
    )
    reading = read(root)
    assert [container.container for container in reading.containers] == names[: pods.MOST_CONTAINERS]
    assert [problem.reason for problem in reading.problems] == ["133 containers hold GPUs: only 128 are shown"]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_problem(content: bytes) -> None:
    class Recorded(SysfsRoot):
        def read(self, path: str, *, head: bool = False) -> bytes:
            del head
            if path == SOCKET:
                return content
            raise FileNotFoundError(2, "No such file or directory", path)

        def names(self, path: str) -> list[str]:
            raise FileNotFoundError(2, "No such file or directory", path)

    assert pods.read(Recorded()).containers == ()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(st.lists(st.tuples(NAMES, NAMES, st.lists(st.integers(-1, 1 << 40), max_size=4)), max_size=5))
def test_what_protobuf_writes_is_read(given_pods: list[tuple[str, str, list[int]]]) -> None:
    message = pod_resources.encoded(
        *(
            api.pod(name, api.gpus(container, "GPU-1", nodes=tuple(nodes)), namespace=container)
            for name, container, nodes in given_pods
        )
    )
    assert [(one.pod, one.container, one.namespace, one.numa_nodes) for one in containers_in(message)] == [
        (name, container, container, tuple(sorted({node for node in nodes if node >= 0})))
        for name, container, nodes in given_pods
    ]
