"""What the kubelet reserves of memory, from its checkpoint, files and flags; and what its device plugins state."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fixtures.synthesize.pod_resources import allocatable
from nvtopo.model.formats import quantity
from nvtopo.model.records.facts import DeviceHint, DeviceHints, MemoryFacts, NumaMemory, PodMemory
from nvtopo.sources.kubelet import hints, memory
from nvtopo.sources.kubelet.pod_resources import SOCKET
from nvtopo.sources.machine import Machine, NoNvml, Reading
from nvtopo.sources.sysfs import SysfsRoot
from tests.sources import kubelet_server as api

GI: Final = 1 << 30
MI: Final = 1 << 20
CONFIG: Final = """\
kind: KubeletConfiguration
memoryManagerPolicy: Static
kubeReserved: {cpu: 500m, memory: 1Gi}
systemReserved:
  memory: 512Mi
evictionHard:
  memory.available: "500Mi"
  nodefs.available: "10%"
reservedMemory:
- numaNode: 0
  limits: {memory: 1Gi, hugepages-1Gi: 2Gi}
- numaNode: 1
  limits:
    memory: 1012Mi
"""
_TABLE: Final = {"total": 64 * GI, "systemReserved": GI, "allocatable": 63 * GI, "reserved": 0, "free": 63 * GI}
_NONE_LEFT: Final = {**_TABLE, "systemReserved": 64 * GI, "allocatable": 0, "free": 0}
CHECKPOINT: Final = {
    "policyName": "Static",
    "machineState": {
        "0": {"numberOfAssignments": 0, "memoryMap": {"memory": _TABLE, "hugepages-1Gi": _NONE_LEFT}, "cells": [0]},
        "1": {"numberOfAssignments": 0, "memoryMap": {"memory": _NONE_LEFT}, "cells": [1]},
    },
    "entries": {},
    "checksum": 12345,
}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: a unix socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="nv") as path:
        yield Path(path)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "var/lib/kubelet").mkdir(parents=True)
    return Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml())


def running(machine: Machine, root: Path, config: str | None, *flags: str, program: str = "kubelet") -> MemoryFacts:
    """The facts of a kubelet that runs with this configuration."""
    (root / "proc/42").mkdir(parents=True)
    named = () if config is None else ("--config=/etc/kubelet.yaml",)
    (root / "proc/42/cmdline").write_text("\0".join((*program.split(), *named, *flags)) + "\0")
    if config is not None:
        (root / "etc").mkdir()
        (root / "etc/kubelet.yaml").write_text(config)
    facts = memory.read(machine).facts
    assert facts is None or isinstance(facts, MemoryFacts)
    return facts or MemoryFacts()


def test_the_checkpoint_says_what_is_left_on_each_numa_node(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "var/lib/kubelet/memory_manager_state").write_text(json.dumps(CHECKPOINT))
    assert memory.read(machine) == Reading(
        MemoryFacts(
            nodes=(
                NumaMemory(index=0, total_bytes=64 * GI, reserved_bytes=GI, allocatable_bytes=63 * GI),
                NumaMemory(index=1, total_bytes=64 * GI, reserved_bytes=64 * GI, allocatable_bytes=0),
            )
        )
    )


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ('{"policyName": "None"}', 0),
        ("", 0),
        ("{", 1),
        ('{"policyName": "Static", "machineState": {"0": {"memoryMap": {"memory": {"total": 5}}}}}', 1),
        ('{"policyName": "Static", "machineState": {"0": {"memoryMap": {"memory": {"total": -5}}}}}', 1),
        ('{"policyName": "Static", "machineState": {"x": {}}}', 1),
    ],
    ids=["another-policy", "empty", "broken", "without-allocatable", "negative", "no-number"],
)
def test_nothing_follows_from_another_checkpoint(machine: Machine, tmp_path: Path, content: str, problems: int) -> None:
    (tmp_path / "var/lib/kubelet/memory_manager_state").write_text(content)
    facts, found = memory.read(machine)
    assert (facts, len(found)) == (None, problems)


def test_sums_of_the_configuration(machine: Machine, tmp_path: Path) -> None:
    assert running(machine, tmp_path, CONFIG) == MemoryFacts(
        reserved_bytes={"0": GI, "1": 1012 * MI}, due_bytes=GI + (512 + 500) * MI
    )


@pytest.mark.parametrize(
    ("flags", "reserved", "due"),
    [
        (("--reserved-memory=0:memory=1Gi,hugepages-1Mi=2Gi;1:memory=2Gi",), {"0": GI, "1": 2 * GI}, 2036 * MI),
        (("--kube-reserved=memory=2Gi",), {"0": GI, "1": 1012 * MI}, 2 * GI + 1012 * MI),
        (("--eviction-hard=nodefs.available<5%",), {"0": GI, "1": 1012 * MI}, 2036 * MI),
        (("--eviction-hard=memory.available<5%",), {"0": GI, "1": 1012 * MI}, None),
        (("--reserved-memory=0:memory=lots",), None, 2036 * MI),
    ],
    ids=["memory", "kube", "another-signal", "per-cent", "no-quantity"],
)
def test_flags_win(
    machine: Machine, tmp_path: Path, flags: tuple[str, ...], reserved: dict[str, int] | None, due: int | None
) -> None:
    assert running(machine, tmp_path, CONFIG, *flags) == MemoryFacts(reserved_bytes=reserved, due_bytes=due)


def test_without_thresholds_the_kubelet_has_one_of_its_own(machine: Machine, tmp_path: Path) -> None:
    assert running(machine, tmp_path, None) == MemoryFacts(reserved_bytes={}, due_bytes=100 * MI)


@pytest.mark.parametrize(
    ("config", "flag", "program"),
    [
        ("a: [", "--v=2", "kubelet"),
        ("", "--v=2", "kubelet"),
        (CONFIG, "--config-dir=/etc/absent", "kubelet"),
        (CONFIG, "--kubelet-arg=v=2", "k3s server"),
    ],
    ids=["broken", "empty", "a-file-is-not-read", "another-program"],
)
def test_what_is_not_read_is_not_known(machine: Machine, tmp_path: Path, config: str, flag: str, program: str) -> None:
    assert running(machine, tmp_path, config, flag, program=program) == MemoryFacts()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1Gi", GI),
        ("1.5Gi", 3 * GI // 2),
        ("500M", 500_000_000),
        ("1e3", 1000),
        ("128974848", 128974848),
        ("1500m", 2),
        ("0.1", 1),
        ("1K", None),
        ("1E", None),
        ("99999999999999999999E", None),
        ("-1", None),
        ("5%", None),
        ("", None),
    ],
)
def test_quantities(text: str, number: int | None) -> None:
    assert quantity.whole(text) == number


def test_what_device_plugins_state(machine: Machine, tmp_path: Path) -> None:
    devices: list[dict[str, Any]] = [
        {"resource_name": "nvidia.com/gpu", "device_ids": ["GPU-a", "GPU-b"], "topology": {"nodes": [{"ID": 1}]}},
        {"resource_name": "example.com/vf", "device_ids": ["0000:3b:00.2"]},
    ]
    with api.serving(tmp_path / SOCKET[1:]) as kubelet:
        kubelet.allocatable = lambda: allocatable(*devices)
        assert hints.read(machine) == Reading(
            DeviceHints(
                devices=(
                    DeviceHint(resource="nvidia.com/gpu", id="GPU-a", numa_nodes=(1,)),
                    DeviceHint(resource="nvidia.com/gpu", id="GPU-b", numa_nodes=(1,)),
                    DeviceHint(resource="example.com/vf", id="0000:3b:00.2"),
                )
            )
        )


def test_a_kubelet_that_does_not_answer_is_a_problem(machine: Machine, tmp_path: Path) -> None:
    with api.serving(tmp_path / SOCKET[1:]) as kubelet:
        kubelet.allocatable = lambda: b"\x0a\xff"
        facts, (problem,) = hints.read(machine)
    assert (facts, problem.source, problem.subject) == (None, "hints", SOCKET)
    assert "AllocatableResourcesResponse" in problem.reason


def test_without_a_kubelet_there_is_nothing(machine: Machine) -> None:
    assert hints.read(machine) == Reading(None)


_GPU_POD: Final = "725ed1ac-7daa"
_OTHER_POD: Final = "b7e5fc9f-a410"
_GONE: Final = "0000aaaa-0000"
_ENTRIES: Final = [
    {"PodUID": _GPU_POD, "ContainerName": "a", "ResourceName": "nvidia.com/gpu", "DeviceIDs": {"0": ["GPU-1"]}},
    {"PodUID": _GPU_POD, "ContainerName": "a", "ResourceName": "rdma/hca", "DeviceIDs": {"-1": ["x"]}},
    {"PodUID": _GONE, "ContainerName": "a", "ResourceName": "nvidia.com/gpu", "DeviceIDs": {"0": ["GPU-2"]}},
]


def _pods(root: Path, entries: Any) -> tuple[PodMemory, ...] | None:
    cgroups = root / "sys/fs/cgroup"
    file = root / "var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"Data": {"PodDeviceEntries": entries}, "Checksum": 1}), encoding="utf-8")
    for name, limit, refused in (
        (f"kubepods-pod{_GPU_POD.replace('-', '_')}.slice", "1073741824", 2),
        (f"kubepods-burstable.slice/kubepods-burstable-pod{_OTHER_POD.replace('-', '_')}.slice", "max", 7),
    ):
        pod = cgroups / "kubepods.slice" / name
        pod.mkdir(parents=True)
        (pod / "memory.max").write_text(f"{limit}\n", encoding="utf-8")
        (pod / "memory.events").write_text(f"low 0\nmax 9\noom {refused}\noom_kill 1\n", encoding="utf-8")
    (cgroups / "cgroup.controllers").write_text("memory\n", encoding="utf-8")
    facts = memory.read(Machine(root=SysfsRoot(str(root)), nvml=NoNvml())).facts
    return facts.pods if isinstance(facts, MemoryFacts) else None


def test_pods_with_devices_are_those_of_the_checkpoint_that_have_a_cgroup(tmp_path: Path) -> None:
    pod = PodMemory(uid=_GPU_POD, resources=("nvidia.com/gpu", "rdma/hca"), limit_bytes=GI, refused=2)
    assert _pods(tmp_path, _ENTRIES) == (pod,)


@pytest.mark.parametrize(("entries", "pods"), [(None, ()), ([], ()), ("x", None), ([{"PodUID": 7}], None)])
def test_a_checkpoint_without_pods_is_not_one_that_can_t_be_read(tmp_path: Path, entries: Any, pods: Any) -> None:
    assert _pods(tmp_path, entries) == pods


def _claims(key: str, *pods: str) -> str:
    """The checkpoint of DRA, with one claim of these pods on a GPU and a NIC."""
    claim = {
        "ClaimUID": "067798be",
        "PodUIDs": {pod: {} for pod in pods},
        "DriverState": {"gpu.nvidia.com": {"Devices": [{"DeviceName": "gpu-1"}]}, "dra.net": {"Devices": []}},
    }
    return json.dumps({"Data": json.dumps({"kind": "DRACheckpoint", key: [claim]}), "Checksum": 1})


def _with_claims(root: Path, text: str) -> None:
    file = root / "var/lib/kubelet/dra_manager_state"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("key", ["ClaimInfoStateList", "Entries"])
def test_pods_whose_gpus_are_claims_are_those_of_the_checkpoint_of_dra(tmp_path: Path, key: str) -> None:
    _with_claims(tmp_path, _claims(key, _OTHER_POD, _GONE))
    mine, other = _pods(tmp_path, _ENTRIES) or ()
    assert (mine.uid, mine.resources) == (_GPU_POD, ("nvidia.com/gpu", "rdma/hca"))
    assert other == PodMemory(uid=_OTHER_POD, resources=("dra.net", "gpu.nvidia.com"), refused=7)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"Data": "x"}', '{"Data": "{\\"ClaimInfoStateList\\": [{\\"PodUIDs\\": 7}]}"}']
)
def test_a_checkpoint_of_dra_that_is_none_hides_no_pod_of_device_plugins(tmp_path: Path, text: str) -> None:
    _with_claims(tmp_path, text)
    assert [pod.uid for pod in _pods(tmp_path, _ENTRIES) or ()] == [_GPU_POD]
    problems = memory.read(Machine(root=SysfsRoot(str(tmp_path)), nvml=NoNvml())).problems
    assert [problem.subject.rpartition("/")[2] for problem in problems] == (["dra_manager_state"] if text else [])
