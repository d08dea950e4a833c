"""The container runtime: which runs, what it may lock, whether it knows NVIDIA's runtime, and its CDI specs."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from nvtopo.model.formats import limits
from nvtopo.model.records.facts import RuntimeFacts
from nvtopo.sources.linux import cdi, processes
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "runtime"

_RUNTIMES: Final = ("containerd", "crio", "dockerd")
_FILES: Final = (
    "/etc/containerd/config.toml",
    "/etc/docker/daemon.json",
    "/etc/crio/crio.conf",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
)
_FOLDERS: Final = ("/etc/containerd/conf.d", "/etc/crio/crio.conf.d")
_CGROUPS: Final = ("/sys/fs/cgroup", "/sys/fs/cgroup/rdma")
_KUBEPODS: Final = ("kubepods.slice", "kubepods")
_LIMITED: Final = re.compile(r"=\d")
_MOST_FILES: Final = 32
#: A line that is no comment and names the binary.
_NVIDIA: Final = re.compile(r"^[^#\n]*nvidia-container-runtime", re.MULTILINE)
_LOCKED: Final = re.compile(r"^Max locked memory\s+(\d+|unlimited)", re.MULTILINE)


def read(machine: Machine) -> Reading:
    """``/proc/<pid>/{comm,limits}``, the runtimes' files in ``/etc``, CDI specs; None if nothing of them is there."""
    reader = SysfsReader(machine.root, NAME)
    found = processes.named(machine.root, _RUNTIMES) or {}
    texts = dict(_configurations(reader))
    specs = tuple(cdi.read(machine.root, reader))
    if not found and not texts and not specs:
        return Reading(None, tuple(reader.problems))
    soft = [_locked(reader.text(f"/proc/{pid}/limits") or "") for pids in found.values() for pid in pids]
    known = [limit for limit in soft if limit is not None]
    numbers = [limit for limit in known if limit != "unlimited"]
    facts = RuntimeFacts(
        runtimes=tuple(sorted(found)),
        locked_memory_bytes=min(numbers, default=None),
        locked_memory_unlimited=not numbers if known else None,
        configured=tuple(texts),
        nvidia_runtime=any(_NVIDIA.search(text) for text in texts.values()) if texts else None,
        cdi=specs,
        rdma_limits=_rdma_limits(machine, reader),
        cgroup_version=_cgroup(machine),
    )
    return Reading(facts, tuple(reader.problems))


def _cgroup(machine: Machine) -> Literal[1, 2] | None:
    """2 has its controllers in one file, 1 a folder for each."""
    if machine.root.exists("/sys/fs/cgroup/cgroup.controllers"):
        return 2
    return 1 if machine.root.exists("/sys/fs/cgroup/memory") else None


def _rdma_limits(machine: Machine, reader: SysfsReader) -> tuple[str, ...] | None:
    """Of ``kubepods``, in which the kubelet has all pods. Without the controller ``rdma`` nothing is limited."""
    folders = [f"{above}/{name}" for above in _CGROUPS for name in _KUBEPODS if machine.root.exists(f"{above}/{name}")]
    if not folders:
        return None
    texts = [reader.text(f"{folder}/rdma.max") for folder in folders]
    if any(problem.subject.endswith("/rdma.max") for problem in reader.problems):
        return None
    lines = [line.strip()[: limits.LONGEST_NAME] for text in texts for line in (text or "").splitlines()]
    return tuple(line for line in lines if _LIMITED.search(line))[: limits.MOST_RDMA_DEVICES]


def _configurations(reader: SysfsReader) -> Iterator[tuple[str, str]]:
    for path in _paths(reader):
        if reader.is_file(path) and (text := reader.text(path)) is not None:
            yield path, text


def _paths(reader: SysfsReader) -> Iterable[str]:
    dropped = [f"{folder}/{name}" for folder in _FOLDERS for name in reader.names(folder)]
    return (*_FILES, *dropped[:_MOST_FILES])


def _locked(text: str) -> int | Literal["unlimited"] | None:
    match = _LOCKED.search(text)
    if match is None:
        return None
    return "unlimited" if match[1] == "unlimited" else int(match[1])
