"""The container runtime, CDI specs and IMEX, as files of a host and of a container show them."""

import errno
import json
from pathlib import Path

import pytest

from nvtopo.model.records.facts import CdiSpec, ImexFacts, RuntimeFacts
from nvtopo.sources.linux import container_runtime, imex, processes
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsRoot

HOST = {"/proc/1/comm": "systemd\n", "/proc/2/comm": "kthreadd\n"}
LIMITS = "Limit  Soft Limit  Hard Limit  Units\nMax locked memory         {}              unlimited            bytes\n"
SPEC = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  deviceNodes: [{path: /dev/nvidiactl}]
devices:
- name: "0"
  containerEdits:
    deviceNodes: [{path: /dev/nvidia0}]
- name: "1"
  containerEdits:
    deviceNodes: [{path: /dev/nvidia1}, {path: /dev/dri/card1}]
"""


def machine(root: Path, files: dict[str, str]) -> Machine:
    for path, text in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Machine(root=SysfsRoot(str(root)), nvml=NoNvml())


def runtime(root: Path, files: dict[str, str]) -> RuntimeFacts:
    facts, problems = container_runtime.read(machine(root, files))
    assert isinstance(facts, RuntimeFacts)
    assert problems == ()
    return facts


def test_a_host_without_any_has_no_facts(tmp_path: Path) -> None:
    assert container_runtime.read(machine(tmp_path, HOST)) == (None, ())
    assert imex.read(machine(tmp_path, HOST)) == (None, ())


@pytest.mark.parametrize(("limit", "unlimited", "number"), [("unlimited", True, None), ("8388608", False, 8388608)])
def test_the_limit_is_the_runtime_s(tmp_path: Path, limit: str, unlimited: bool, number: int | None) -> None:
    files = {**HOST, "/proc/77/comm": "containerd\n", "/proc/77/limits": LIMITS.format(limit)}
    facts = runtime(tmp_path, files)
    assert facts.runtimes == ("containerd",)
    assert (facts.locked_memory_unlimited, facts.locked_memory_bytes) == (unlimited, number)


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({}, None),
        ({"/sys/fs/cgroup/kubepods.slice/cpu.max": "max\n"}, ()),
        ({"/sys/fs/cgroup/kubepods.slice/rdma.max": "mlx5_0 hca_handle=max hca_object=max\n"}, ()),
        (
            {"/sys/fs/cgroup/kubepods/rdma.max": "mlx5_0 hca_handle=2 hca_object=max\nmlx5_1 hca_handle=max\n"},
            ("mlx5_0 hca_handle=2 hca_object=max",),
        ),
    ],
    ids=["no-pods", "no-controller", "no-limit", "limited"],
)
def test_limits_of_the_pods_rdma(tmp_path: Path, files: dict[str, str], limits: tuple[str, ...] | None) -> None:
    started = {**HOST, "/proc/77/comm": "containerd\n", "/proc/77/limits": LIMITS.format("unlimited")}
    assert runtime(tmp_path, started | files).rdma_limits == limits


def test_limits_that_can_not_be_read_are_not_known(tmp_path: Path) -> None:
    path = "/sys/fs/cgroup/kubepods/rdma.max"
    made = machine(tmp_path, {**HOST, "/proc/77/comm": "containerd\n", path: ""})
    denied = made._replace(root=SysfsRoot(str(tmp_path), {path: errno.EACCES}))
    facts, (problem,) = container_runtime.read(denied)
    assert isinstance(facts, RuntimeFacts)
    assert (facts.rdma_limits, problem.subject) == (None, path)


def test_of_two_runtimes_the_lower_limit_counts(tmp_path: Path) -> None:
    files = {**HOST, "/proc/7/comm": "crio\n", "/proc/7/limits": LIMITS.format("unlimited")}
    files |= {"/proc/8/comm": "containerd\n", "/proc/8/limits": LIMITS.format("65536")}
    facts = runtime(tmp_path, files)
    assert (facts.runtimes, facts.locked_memory_bytes) == (("containerd", "crio"), 65536)


def test_in_a_container_processes_are_not_the_host_s(tmp_path: Path) -> None:
    files = {"/proc/1/comm": "sh\n", "/proc/2/comm": "containerd\n", "/proc/2/limits": LIMITS.format("unlimited")}
    assert processes.named(machine(tmp_path, files).root, ("containerd",)) is None
    assert container_runtime.read(machine(tmp_path, files)) == (None, ())


def test_a_limit_that_is_not_shown_is_not_known(tmp_path: Path) -> None:
    facts = runtime(tmp_path, {**HOST, "/proc/77/comm": "containerd\n"})
    assert (facts.locked_memory_unlimited, facts.locked_memory_bytes) == (None, None)


def test_a_comment_configures_no_runtime(tmp_path: Path) -> None:
    toml = "/etc/containerd/config.toml"
    assert runtime(tmp_path, {toml: "# BinaryName = '/usr/bin/nvidia-container-runtime'\n"}).nvidia_runtime is False
    drop = {"/etc/containerd/conf.d/99-nvidia.toml": "  BinaryName = '/usr/bin/nvidia-container-runtime'\n"}
    facts = runtime(tmp_path, drop)
    assert (facts.nvidia_runtime, facts.configured) == (True, (toml, *drop))


def test_a_cdi_spec_in_yaml_and_the_devices_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    paths = ("/dev/nvidia0", "/dev/nvidia1", "/dev/dri/card1")
    spec = CdiSpec(
        file="/etc/cdi/nvidia.yaml", kind="nvidia.com/gpu", devices=("0", "1"), paths=paths, missing_paths=paths[1:]
    )
    assert runtime(tmp_path, {"/etc/cdi/nvidia.yaml": SPEC}).cdi == (spec,)


def test_a_spec_that_is_none_is_a_problem_and_the_others_stand(tmp_path: Path) -> None:
    good = json.dumps({"kind": "nvidia.com/gpu", "devices": [{"name": "all"}]})
    files = {"/etc/cdi/bad.json": '{"kind": 7}', "/var/run/cdi/good.json": good, "/var/run/cdi/readme.txt": "no spec"}
    facts, problems = container_runtime.read(machine(tmp_path, files))
    assert isinstance(facts, RuntimeFacts)
    assert [spec.file for spec in facts.cdi] == ["/var/run/cdi/good.json"]
    assert [(problem.source, problem.subject) for problem in problems] == [("runtime", "/etc/cdi/bad.json")]


def test_a_device_in_place_of_a_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "etc/cdi").mkdir(parents=True)
    (tmp_path / "etc/cdi/x.json").symlink_to("/dev/zero")
    facts, problems = container_runtime.read(machine(tmp_path, {}))
    assert facts is None
    assert [problem.reason for problem in problems] == ["expected a file"]


def test_more_specs_than_are_read_are_a_problem(tmp_path: Path) -> None:
    facts, problems = container_runtime.read(
        machine(tmp_path, {f"/etc/cdi/{number}.json": '{"kind": "a/b"}' for number in range(70)})
    )
    assert isinstance(facts, RuntimeFacts)
    assert len(facts.cdi) == 64
    assert "at most 64" in problems[0].reason


DEVICES = "Character devices:\n  1 mem\n195 nvidia\n{}\nBlock devices:\n259 blkext\n"


def imex_of(root: Path, files: dict[str, str]) -> ImexFacts:
    facts, problems = imex.read(machine(root, files))
    assert isinstance(facts, ImexFacts)
    assert problems == ()
    return facts


def test_channels_and_daemons_of_a_host(tmp_path: Path) -> None:
    files = {**HOST, "/proc/devices": DEVICES.format("234 nvidia-caps-imex-channels\n")}
    assert imex_of(tmp_path, files) == ImexFacts(channels=True, daemons=0)
    files["/proc/99/comm"] = "nvidia-imex\n"
    assert imex_of(tmp_path, files).daemons == 1


def test_a_driver_without_channels_and_processes_that_are_not_shown(tmp_path: Path) -> None:
    assert imex_of(tmp_path, {"/proc/devices": DEVICES.format("")}) == ImexFacts(channels=False)


def test_the_list_of_nodes_is_compared_without_its_comments(tmp_path: Path) -> None:
    file = "/etc/nvidia-imex/nodes_config.cfg"
    one = imex_of(tmp_path, {file: "# rack 1\n10.0.0.1\n\n10.0.0.2  # tray 2\n"})
    other = imex_of(tmp_path, {file: "10.0.0.1\n10.0.0.2\n"})
    assert (one.nodes, one.nodes_digest) == (2, other.nodes_digest)
    assert imex_of(tmp_path, {file: "10.0.0.2\n10.0.0.1\n"}).nodes_digest != one.nodes_digest
    assert imex_of(tmp_path, {file: "# nobody\n"}) == ImexFacts(nodes=0)
