"""Faults of the directory that Node Feature Discovery reads, of the file in it, and of those who write there."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.faults.node import Agent, Node, labels_in, needs_mounts
from tests.lab.process import LabError, free_port

pytestmark = pytest.mark.slow

#: Two pages: the file that stands, and the one that replaces it.
_SMALL: Final = 'mount -t tmpfs -o size=8k none "$0"; exec "$@"'


def is_whole(text: str) -> bool:
    """Whether it is a feature file from its first line to its last."""
    return text.startswith("# Written by nvtopo.") and text.endswith("\nnvtopo.io/ready=true\n")


def lose_a_gpu(node: Node) -> None:
    """A change that every label file has to follow."""
    node.driver_is_like(lambda model: model["gpus"][3].update(lost=True))


def count(node: Node) -> str | None:
    return node.labels().get("gpu.count")


def mounted(node: Node) -> Agent:
    """An agent whose feature directory is a file system of two pages, in a mount namespace of its own."""
    agent = node.start(before=("unshare", "--mount", "sh", "-ec", _SMALL, str(node.features_d)))
    node.features_d = Path(f"/proc/{agent.child.pid}/root{node.features_d}")
    agent.eventually(lambda: count(node) == "8", "labels")
    return agent


def remount(agent: Agent, node: Node, how: str) -> None:
    directory = str(node.features_d).removeprefix(f"/proc/{agent.child.pid}/root")
    subprocess.run(
        ("nsenter", "--mount", "--target", str(agent.child.pid), "mount", "-o", f"remount,{how}", directory), check=True
    )


def test_a_missing_feature_directory(node: Node) -> None:
    away = node.features_d.rename(node.directory / "away")
    agent = node.start()
    agent.says("sink failed", sink="nfd", reason="No such file or directory")
    assert not agent.ready()
    assert agent.alive()
    assert agent.value("nvtopo_gpus") == 8, "what does not need the directory goes on"
    away.rename(node.features_d)
    agent.says("sink works again", sink="nfd")
    agent.eventually(lambda: count(node) == "8" and agent.ready(), "labels")


@needs_mounts
def test_a_full_feature_directory(node: Node) -> None:
    agent = mounted(node)
    (node.features_d / "other").write_bytes(bytes(4096))
    before = node.labels()
    lose_a_gpu(node)
    agent.says("sink failed", sink="nfd", reason="No space left on device")
    assert not agent.ready()
    assert agent.value("nvtopo_sink_up", sink="nfd") == 0
    assert node.labels() == before, "the old file stands, whole, until it expires"
    assert sorted(path.name for path in node.features_d.iterdir()) == ["nvtopo", "other"]
    (node.features_d / "other").unlink()
    agent.eventually(lambda: count(node) == "7" and agent.ready(), "labels of now")
    assert agent.value("nvtopo_sink_up", sink="nfd") == 1


@needs_mounts
def test_a_read_only_feature_directory(node: Node) -> None:
    agent = mounted(node)
    remount(agent, node, "ro")
    lose_a_gpu(node)
    agent.says("sink failed", sink="nfd", reason="Read-only file system")
    assert not agent.ready()
    assert count(node) == "8", "the old file stands until it expires"
    remount(agent, node, "rw")
    agent.eventually(lambda: count(node) == "7" and agent.ready(), "labels of now")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, which kills at a system call")
@pytest.mark.parametrize("call", ["fchmod", "fsync", "rename"])
def test_sigkill_in_the_middle_of_a_write(node: Node, call: str) -> None:
    node.once().child.wait(30)
    old = (node.features_d / "nvtopo").read_text()
    lose_a_gpu(node)
    killing = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL")
    with pytest.raises(LabError, match="ended with -9"):
        node.once(before=killing).child.wait(30)
    assert is_whole(old)
    assert (node.features_d / "nvtopo").read_text() == old
    (left,) = (path for path in node.features_d.iterdir() if path.name != "nvtopo")
    assert left.name.startswith("."), "NFD reads no such name"
    two_minutes_ago = time.time() - 120
    os.utime(left, (two_minutes_ago, two_minutes_ago))
    node.once().child.wait(30)
    assert count(node) == "7"
    assert [path.name for path in node.features_d.iterdir()] == ["nvtopo"]


GARBLED: Final[dict[str, Callable[[str], str]]] = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "of-zeros": lambda text: "\0" * len(text),
    "without-expiry": lambda text: text.replace("# +expiry-time=", "# "),
    "never-expiring": lambda text: text.replace("+expiry-time=2", "+expiry-time=9"),
    "of-another-machine": lambda text: text.replace("gpu.count=8", "gpu.count=16"),
}


def is_mended(path: Path, good: str) -> bool:
    """The same labels, and an expiry time of the same century."""
    text = path.read_text()
    return labels_in(text) == labels_in(good) and "\n# +expiry-time=20" in text


def test_a_garbled_feature_file(node: Node) -> None:
    agent = node.start()
    agent.eventually(lambda: count(node) == "8", "labels")
    path = node.features_d / "nvtopo"
    good = path.read_text()
    for garble in GARBLED.values():
        path.write_text(garble(good))
        agent.eventually(lambda: is_mended(path, good), "labels and expiry of now")
    assert agent.said("feature file changed by others")


@pytest.mark.parametrize("how", ["cut", "never-expiring", "of-another-machine"])
def test_a_garbled_feature_file_of_an_earlier_run(node: Node, how: str) -> None:
    node.once().child.wait(30)
    path = node.features_d / "nvtopo"
    good = path.read_text()
    path.write_text(GARBLED[how](good))
    node.once().child.wait(30)
    assert is_mended(path, good)


def test_two_agents_on_one_node(node: Node) -> None:
    first, second = node.start(name="first"), node.start(name="second")
    path = node.features_d / "nvtopo"
    for agent in (first, second):
        agent.eventually(lambda: agent.ready() and count(node) == "8", "labels")  # noqa: B023
    inode = path.stat().st_ino
    passes = {agent: agent.value("nvtopo_observation_timestamp_seconds") or 0 for agent in (first, second)}
    for agent, seen in passes.items():
        agent.eventually(
            lambda: (agent.value("nvtopo_observation_timestamp_seconds") or 0) > seen + 2,  # noqa: B023
            "two passes more",
        )
    assert path.stat().st_ino == inode, "two that agree do not write in turns"
    second.child.kill()
    lose_a_gpu(node)
    first.eventually(lambda: count(node) == "7", "labels of now, by the one that is left")
    assert not first.said("sink failed")


def test_two_agents_that_disagree(node: Node) -> None:
    """Such as one that has the driver's files and one that has not: that does not go unnoticed."""
    first = node.start(name="first")
    first.eventually(lambda: count(node) == "8", "labels")
    node.start("--nvml", "none", name="second")
    first.says("feature file changed by others", gone="False")


def test_two_agents_on_one_port(node: Node) -> None:
    port = str(free_port())
    first = node.start("--listen", f"127.0.0.1:{port}", name="first")
    first.says("serving")
    second = node.start("--listen", f"127.0.0.1:{port}", name="second")
    with pytest.raises(
        LabError, match=f"ended with 3; .*\n.*cannot listen on 127.0.0.1:{port}: Address already in use"
    ):
        second.child.wait(30)
    first.eventually(first.ready, "the first, unharmed")
