"""What is no file where the kubelet or the kernel should have one: a problem, never a wait or an end of memory."""

import os
from pathlib import Path

import pytest

from nvtopo.sources.kubelet import policies
from nvtopo.sources.machine import Machine, NoNvml
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    process = tmp_path / "proc" / "7"
    process.mkdir(parents=True)
    arguments = ("/usr/bin/kubelet", "--config=/etc/it", "--config-dir=/etc/conf", "--root-dir=/var/k")
    (process / "cmdline").write_bytes("\0".join(arguments).encode())
    (tmp_path / "etc" / "conf").mkdir(parents=True)
    (tmp_path / "var" / "k").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("place", ["etc/it", "etc/conf/10.conf", "var/k/cpu_manager_state"])
@pytest.mark.parametrize("kind", ["device", "fifo", "directory"])
def test_what_a_command_line_names_is_opened_only_if_it_is_a_file(root: Path, place: str, kind: str) -> None:
    path = root / place
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    reading = policies.read(Machine(root=SysfsRoot(str(root)), nvml=NoNvml()))
    assert [problem.subject for problem in reading.problems] == [f"/{place}"]


def test_a_file_without_an_end_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "endless").symlink_to("/dev/zero")
    reader = SysfsReader(SysfsRoot(str(tmp_path)), "test")
    assert reader.text("/endless") is None
    assert [problem.reason for problem in reader.problems] == ["File too large"]


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"policyName":"\xff"}', b"\xff", b'{"policyName":7}', b"{"])
def test_a_checkpoint_that_is_none_is_a_problem(root: Path, content: bytes) -> None:
    (root / "var/k/cpu_manager_state").write_bytes(content)
    (root / "etc/it").write_bytes(b"{" + content)
    reading = policies.read(Machine(root=SysfsRoot(str(root)), nvml=NoNvml()))
    assert [problem.subject for problem in reading.problems] == ["/var/k/cpu_manager_state"]
    assert all(problem.reason.isprintable() for problem in reading.problems)
