"""What starts containers: locked memory, NVIDIA's runtime or CDI, and CDI specs against the GPUs that are there."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions import presence
from nvtopo.model.records.facts import CdiSpec, RuntimeFacts

_NOT_SEEN: Final = "the host's processes and files can't be seen: a container, or the input is not a capture"
_GPU_KIND: Final = "nvidia.com/gpu"
_UUID: Final = "GPU-"


def _facts(machine: Machine) -> RuntimeFacts | None:
    return machine.snapshot.runtime if machine.snapshot is not None else None


def _locked(machine: Machine) -> Iterator[CheckResult]:
    """RDMA memory is locked memory: a process with a limit can register no more, unless it has CAP_IPC_LOCK."""
    if not any(nic.ports for nic in machine.rails):
        return
    facts = _facts(machine)
    if facts is None or facts.locked_memory_unlimited is None:
        yield Unknown(NODE, "the limit of the process that starts containers is not shown")
    elif facts.locked_memory_unlimited:
        yield Fits()
    else:
        runtime = ", ".join(facts.runtimes)
        yield Found(
            NODE, f"{runtime} may lock {facts.locked_memory_bytes} bytes of memory, and containers inherit that"
        )


def _limited(machine: Machine) -> Iterator[CheckResult]:
    """The cgroup controller ``rdma`` counts handles and objects of each RDMA device."""
    facts = _facts(machine)
    if machine.node.kubelet is None or not any(nic.ports for nic in machine.rails):
        return
    if facts is None or facts.rdma_limits is None:
        yield Unknown(NODE, "the cgroup of all pods is not seen here")
    elif facts.rdma_limits:
        yield Found(NODE, f"the cgroup of all pods has rdma.max {'; '.join(facts.rdma_limits)}")
    else:
        yield Fits()


def _given(machine: Machine) -> Iterator[CheckResult]:
    """A container gets the driver's libraries by NVIDIA's runtime or by CDI."""
    if not machine.node.gpus:
        return
    facts = _facts(machine)
    if facts is None:
        yield Unknown(NODE, "no container runtime, configuration or CDI spec is seen here")
    elif facts.nvidia_runtime or any(_is_of_nvidia(spec) for spec in facts.cdi):
        yield Fits()
    elif facts.nvidia_runtime is None or machine.unread("runtime", "/cdi") or machine.unread("runtime", "/etc/"):
        yield Unknown(NODE, "the runtime's configuration or CDI specs can't be read, or are elsewhere")
    else:
        yield Found(NODE, f"{', '.join(facts.configured)} names no nvidia-container-runtime, and there is no CDI spec")


def _is_of_nvidia(spec: CdiSpec) -> bool:
    return "nvidia.com" in spec.kind.partition("/")[0]


def _specs(machine: Machine) -> Iterator[CheckResult]:
    """Names of a spec are indices or UUIDs; under MIG they are those of instances, which NVML's GPUs do not show."""
    if not machine.node.gpus or any(gpu.mig for gpu in machine.node.gpus):
        return
    facts = _facts(machine)
    if facts is None:
        yield Unknown(NODE, _NOT_SEEN)
        return
    for spec in facts.cdi:
        if spec.kind.endswith(_GPU_KIND):
            yield from _against_the_driver(machine, spec)


def _against_the_driver(machine: Machine, spec: CdiSpec) -> Iterator[CheckResult]:
    for due, named in (
        ({str(gpu.index) for gpu in machine.node.gpus}, {name for name in spec.devices if name.isdecimal()}),
        ({gpu.uuid for gpu in machine.node.gpus}, {name for name in spec.devices if name.startswith(_UUID)}),
    ):
        if not named:
            continue
        gone, lacking = sorted(named - due), sorted(due - named)
        if gone and presence.of_state(machine.node, "silent"):
            yield Unknown(spec.file, f"names {', '.join(gone)}, and a GPU does not answer")
        elif gone:
            yield Found(spec.file, f"names {', '.join(gone)}, which the driver does not have")
        if lacking:
            yield Found(spec.file, f"does not name {', '.join(lacking)}, which the driver has")
        if due == named:
            yield Fits()


def _nodes(machine: Machine) -> Iterator[CheckResult]:
    facts = _facts(machine)
    if facts is None:
        if machine.node.gpus:
            yield Unknown(NODE, _NOT_SEEN)
        return
    specs = [spec for spec in facts.cdi if _is_of_nvidia(spec) and spec.paths]
    if specs and all(set(spec.missing_paths) == set(spec.paths) for spec in specs):
        yield Unknown(NODE, "none of the devices is in /dev, as in a container without them")
        return
    for spec in specs:
        if spec.missing_paths:
            yield Found(spec.file, f"names {', '.join(spec.missing_paths)}, and /dev has no such device")
        else:
            yield Fits()


def _cgroup(machine: Machine) -> Iterator[CheckResult]:
    facts = _facts(machine)
    if facts is None or facts.cgroup_version is None:
        if machine.node.gpus:
            yield Unknown(NODE, _NOT_SEEN)
    elif facts.cgroup_version == 1:
        yield Found(NODE, "uses cgroups of version 1")
    else:
        yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "locked-memory-limited",
            "info",
            "runtime",
            "no limit of locked memory for what starts containers of RDMA jobs",
            "LimitMEMLOCK=infinity in the runtime's unit and a restart of it, or the capability IPC_LOCK in each pod.",
        ),
        "/proc/*/limits of containerd, crio, dockerd",
        _NOT_SEEN,
        _locked,
    ),
    NodeCheck(
        Check(
            "rdma-cgroup-limited",
            "warning",
            "runtime",
            "no limit of the pods' RDMA handles and objects",
            "Write `DEVICE hca_handle=max hca_object=max` to that cgroup's rdma.max; verbs fail with EAGAIN otherwise.",
        ),
        "/sys/fs/cgroup/kubepods*/rdma.max",
        _NOT_SEEN,
        _limited,
    ),
    NodeCheck(
        Check(
            "container-gpus-unset",
            "info",
            "runtime",
            "NVIDIA's container runtime or a CDI spec",
            "`nvidia-ctk runtime configure` or `nvidia-ctk cdi generate`, unless the device plugin mounts the driver.",
        ),
        "/etc/containerd, /etc/crio, /etc/docker/daemon.json, /etc/cdi, /var/run/cdi",
        _NOT_SEEN,
        _given,
        one_is_enough=True,
    ),
    NodeCheck(
        Check(
            "cdi-gpus-differ",
            "warning",
            "runtime",
            "a CDI spec that names the GPUs that are there",
            "Generate it again: `nvidia-ctk cdi generate`, or restart nvidia-cdi-refresh or the device plugin.",
        ),
        "/etc/cdi, /var/run/cdi, nvmlDeviceGetUUID",
        _NOT_SEEN,
        _specs,
    ),
    NodeCheck(
        Check(
            "cdi-devices-missing",
            "warning",
            "runtime",
            "each device of a CDI spec in /dev",
            "Generate the spec again; if the GPU should be there, look at `nvidia-smi` and `nvidia-modprobe -u -c=0`.",
        ),
        "/etc/cdi, /var/run/cdi, /dev",
        _NOT_SEEN,
        _nodes,
    ),
    NodeCheck(
        Check(
            "cgroup-v1",
            "info",
            "runtime",
            "cgroups of version 2",
            "Boot with systemd.unified_cgroup_hierarchy=1: kubelets since 1.35 refuse version 1 by default.",
        ),
        "/sys/fs/cgroup/cgroup.controllers",
        _NOT_SEEN,
        _cgroup,
    ),
)
