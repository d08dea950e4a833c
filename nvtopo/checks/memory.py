"""Memory by NUMA node: whether there is any near the GPUs, and what the kubelet's memory manager leaves of it."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NODE, NOT_NEAR, CheckResult, Fits, Found, Machine, NodeCheck, Unknown, of_fact
from nvtopo.checks.scheduler import kubelet_of
from nvtopo.findings.finding import Check
from nvtopo.model.records.facts import KubeletFacts, MemoryFacts

_STATIC: Final = "static"


def _fitted(machine: Machine) -> Iterator[CheckResult]:
    """Without memory of its own, all that a job near those GPUs allocates is far."""
    if not machine.node.gpus or machine.node.unseen:
        return
    if not machine.node.numa:
        yield Unknown(NODE, "its NUMA nodes could not be read")
    elif machine.near_gpus is None:
        yield Unknown(NODE, NOT_NEAR)
    for numa in machine.node.numa:
        if numa.index not in (machine.near_gpus or ()):
            continue
        if numa.memory_bytes is None:
            yield Unknown(f"NUMA node {numa.index}", "how much memory it has is not shown")
        elif numa.memory_bytes:
            yield Fits()
        else:
            yield Found(f"NUMA node {numa.index}", f"has CPUs {numa.cpus} and no memory, and GPUs are near it")


def _is_static(kubelet: KubeletFacts) -> bool | None:
    """Of the memory manager; None if its policy is not known."""
    policies = (kubelet.memory_manager_policy, kubelet.asked_memory_manager_policy)
    known = [policy.lower() for policy in policies if policy is not None]
    return known[0] == _STATIC if known else None


def _facts(machine: Machine) -> MemoryFacts | Unknown | None:
    """What is known of the memory manager; None if it reserves nothing."""
    kubelet = kubelet_of(machine)
    if not isinstance(kubelet, KubeletFacts):
        return kubelet
    is_static = _is_static(kubelet)
    if is_static is None:
        return Unknown(NODE, "the memory manager's policy is not known")
    if not is_static:
        return None
    facts = machine.snapshot.memory if machine.snapshot is not None else None
    return (
        Unknown(NODE, "neither the memory manager's checkpoint nor its configuration is shown")
        if facts is None
        else facts
    )


def _left(machine: Machine, facts: MemoryFacts) -> Iterator[CheckResult]:
    """Under ``Static`` a guaranteed pod gets memory of its own from one group of NUMA nodes, or is refused."""
    found = {numa.index: numa for numa in facts.nodes}
    if machine.near_gpus is None or not machine.node.numa:
        yield Unknown(NODE, NOT_NEAR)
    for index in sorted(machine.near_gpus or ()):
        numa = found.get(index)
        subject = f"NUMA node {index}"
        if numa is None:
            yield Unknown(subject, "the memory manager's checkpoint is not shown, or does not have it")
        elif numa.allocatable_bytes:
            yield Fits()
        else:
            yield Found(
                subject,
                f"{numa.reserved_bytes} of its {numa.total_bytes} bytes are reserved, none can be given to guaranteed"
                " pods, and GPUs are near it",
            )


def _adds_up(machine: Machine, facts: MemoryFacts) -> Iterator[CheckResult]:
    """A kubelet whose sums differ ends at its start; one that runs was started before its files were changed."""
    if facts.reserved_bytes is None or facts.due_bytes is None:
        yield Unknown(NODE, "what the kubelet should reserve is not known")
        return
    total = sum(facts.reserved_bytes.values())
    known = {str(numa.index) for numa in machine.node.numa}
    if known and (others := sorted(set(facts.reserved_bytes) - known)):
        yield Found(NODE, f"reservedMemory names NUMA node {', '.join(others)}, which has no CPUs and no memory here")
    elif total == facts.due_bytes:
        yield Fits()
    else:
        yield Found(
            NODE,
            f"reservedMemory adds up to {total} bytes, and kubeReserved, systemReserved and evictionHard of memory to"
            f" {facts.due_bytes}",
            expected=f"{facts.due_bytes} bytes",
        )


def _refused(machine: Machine) -> Iterator[CheckResult]:
    """A pod without memory left gets ENOMEM when it registers memory with a NIC or pins it for a GPU, or is ended."""
    if machine.node.kubelet is None or not machine.node.gpus:
        return
    facts = machine.snapshot.memory if machine.snapshot is not None else None
    if facts is None or facts.pods is None:
        yield Unknown(NODE, "which pods hold devices, or their cgroups, is not shown")
        return
    for checkpoint in ("kubelet_internal_checkpoint", "dra_manager_state"):
        if (why := machine.unread("memory", checkpoint)) is not None:
            yield Unknown(NODE, f"some pods with devices are not known: {checkpoint}: {why}")
    for pod in facts.pods:
        subject = f"pod {pod.uid}"
        if pod.refused is None:
            yield Unknown(subject, "whether it was refused memory at its limit is not shown")
        elif pod.refused:
            limit = f"its limit of {pod.limit_bytes} bytes" if pod.limit_bytes is not None else "a limit"
            times = "once" if pod.refused == 1 else f"{pod.refused} times"
            yield Found(subject, f"holds {', '.join(pod.resources)}, and was refused memory {times} at {limit}")
        else:
            yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "numa-memory-missing",
            "warning",
            "host",
            "memory on each NUMA node with CPUs and GPUs",
            "Fit memory to that socket, or correct the virtual machine's definition; `numactl -H` shows it.",
        ),
        "/sys/devices/system/node/node*/meminfo",
        "the NUMA nodes or their memory could not be read",
        _fitted,
    ),
    NodeCheck(
        Check(
            "numa-memory-reserved",
            "warning",
            "scheduler",
            "memory for guaranteed pods on each NUMA node with GPUs",
            "Spread reservedMemory over the NUMA nodes, then remove memory_manager_state and restart the kubelet.",
        ),
        "memory_manager_state of the kubelet",
        "the memory manager's policy is not known, or its checkpoint can't be read",
        of_fact(_facts, _left),
    ),
    NodeCheck(
        Check(
            "reserved-memory-sum",
            "warning",
            "scheduler",
            "reservedMemory as large as kubeReserved, systemReserved and evictionHard of memory together",
            "Correct the sums before the kubelet is restarted: with the policy Static it refuses to start otherwise.",
        ),
        "the kubelet's command line and configuration",
        "the command line or a file that it names can't be read, or an amount is in per cent",
        of_fact(_facts, _adds_up),
    ),
    NodeCheck(
        Check(
            "pod-memory-refused",
            "warning",
            "runtime",
            "no pod with GPUs or NICs that was refused memory at its limit",
            "Raise the pod's memory limit: what CUDA, NCCL and RDMA pin counts there, and can't be reclaimed.",
        ),
        "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint, /var/lib/kubelet/dra_manager_state, "
        "/sys/fs/cgroup/kubepods*/*/memory.{max,events}, "
        "/sys/fs/cgroup/kubepods*/*/*/memory.{max,events}",
        "the kubelet's checkpoints of devices and claims or the pods' cgroups (v2) can't be read",
        _refused,
    ),
)
