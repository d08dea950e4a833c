"""The kubelet's policies against the node's GPUs: which requests they refuse, and what they leave unaligned."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NODE, NOT_NEAR, CheckResult, Fits, Found, Machine, NodeCheck, Unknown, of_fact
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions.unread import touched
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts import KubeletFacts

_SINGLE: Final = "single-numa-node"
ALIGNS: Final = ("best-effort", "restricted", _SINGLE)
_REFUSES: Final = ("restricted", _SINGLE)
_STATIC: Final = "static"
_NOT_READ: Final = "what the kubelet runs with could not be read"


def kubelet_of(machine: Machine) -> KubeletFacts | Unknown | None:
    """The kubelet's policies; None if there is no kubelet, or no GPU to place."""
    if not machine.node.gpus:
        return None
    if machine.node.kubelet is None:
        unread = any(problem.source == "kubelet" for problem in machine.node.problems)
        return Unknown(NODE, _NOT_READ) if unread else None
    return machine.node.kubelet


def _per_numa(machine: Machine) -> Counter[int | None]:
    return Counter(gpu.numa_node for gpu in machine.node.gpus)


def _in_force(_machine: Machine, kubelet: KubeletFacts) -> Iterator[CheckResult]:
    for name, asked, force in (
        ("CPU manager policy", kubelet.asked_cpu_manager_policy, kubelet.cpu_manager_policy),
        ("memory manager policy", kubelet.asked_memory_manager_policy, kubelet.memory_manager_policy),
        ("topology manager policy", kubelet.asked_topology_manager_policy, kubelet.topology_manager_policy),
        ("topology manager scope", kubelet.asked_topology_manager_scope, kubelet.topology_manager_scope),
    ):
        if asked is not None and force is not None and asked.lower() != force.lower():
            yield Found(NODE, f"the {name} in force is {force}, and its files ask for {asked}", expected=asked)
        elif asked is not None or force is not None:
            yield Fits() if force is not None else Unknown(NODE, f"the {name} in force is not known")


def _refused(machine: Machine, kubelet: KubeletFacts) -> Iterator[CheckResult]:
    """single-numa-node refuses what no one NUMA node has."""
    policy = kubelet.topology_manager_policy
    if policy is None:
        yield Unknown(NODE, "the topology manager's policy in force is not known")
    elif policy == _SINGLE:
        counts = _per_numa(machine)
        most, total = max(count for numa, count in counts.items()), len(machine.node.gpus)
        if None in counts:
            yield Unknown(NODE, "the firmware states no NUMA node for some GPUs")
        elif most < total:
            yield Found(
                NODE,
                f"{_SINGLE} refuses each pod that asks for {most + 1} to {total} GPUs: a NUMA node has {most} at most",
            )
        else:
            yield Fits()
    else:
        yield Fits()


def _hints(machine: Machine, kubelet: KubeletFacts) -> Iterator[CheckResult]:
    """A device without a NUMA node gives the topology manager no hint, and any CPUs will do."""
    if kubelet.topology_manager_policy is None:
        yield Unknown(NODE, "the topology manager's policy in force is not known")
    elif kubelet.topology_manager_policy in _REFUSES:
        without = [gpu for gpu in machine.node.gpus if gpu.numa_node is None]
        if not without or machine.several_numa is False:
            yield Fits()
            return
        for gpu in without:
            unread = gpu.pci_address is None or machine.unread("pci", gpu.pci_address, "numa_node") is not None
            if unread or "pci" in touched(machine.node) or machine.several_numa is None:
                yield Unknown(gpu.key, "its NUMA node, or whether there are several, could not be read")
            else:
                yield Found(gpu.key, f"has no NUMA node, so {kubelet.topology_manager_policy} aligns nothing with it")


def _aligned(machine: Machine, kubelet: KubeletFacts) -> Iterator[CheckResult]:
    if machine.near_gpus is None:
        yield Unknown(NODE, NOT_NEAR)
        return
    if len(machine.near_gpus) < 2:  # noqa: PLR2004 - with one NUMA node all is aligned
        return
    policy, cpus = kubelet.topology_manager_policy, kubelet.cpu_manager_policy
    if policy is None or cpus is None:
        yield Unknown(NODE, "the policies in force are not known")
    elif policy not in ALIGNS or cpus == "none":
        yield Found(NODE, f"topology manager {policy}, CPU manager {cpus}: a pod's CPUs may be far from its GPUs")
    else:
        yield Fits()


def _reserved(machine: Machine) -> set[int] | Unknown | None:
    """CPUs that no container gets for itself; None if the kubelet gives none to anybody."""
    kubelet = kubelet_of(machine)
    if not isinstance(kubelet, KubeletFacts):
        return kubelet
    if kubelet.cpu_manager_policy is None:
        return Unknown(NODE, "the CPU manager's policy in force is not known")
    if kubelet.cpu_manager_policy != _STATIC:
        return None
    if kubelet.reserved_cpus is None:
        return Unknown(NODE, "which CPUs the kubelet reserves is not known")
    return set(parse_cpulist(kubelet.reserved_cpus))


def _left(machine: Machine, reserved: set[int]) -> Iterator[CheckResult]:
    """A guaranteed pod gets CPUs of its own, but none of those that are reserved."""
    if machine.near_gpus is None or not machine.node.numa:
        yield Unknown(NODE, NOT_NEAR)
    for numa in machine.node.numa:
        if numa.index not in (machine.near_gpus or ()):
            continue
        if set(parse_cpulist(numa.cpus)) <= reserved:
            yield Found(f"NUMA node {numa.index}", f"all its CPUs ({numa.cpus}) are reserved, and GPUs are near it")
        else:
            yield Fits()


def _reserved_isolated(machine: Machine, reserved: set[int]) -> Iterator[CheckResult]:
    """The system's own tasks are not scheduled on isolated CPUs, so that reserving these serves nobody."""
    if not machine.node.numa:
        yield Unknown(NODE, "which CPUs are isolated could not be read")
        return
    both = reserved & set(parse_cpulist(machine.node.host.isolated_cpus))
    yield (
        Found(NODE, f"CPUs {format_cpulist(both)} are reserved for the system, and isolated from it")
        if both
        else Fits()
    )


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "kubelet-policy-not-in-force",
            "warning",
            "scheduler",
            "the policy that its files ask for",
            "Drain the node, stop the kubelet, remove its cpu_manager_state and memory_manager_state, start it again.",
        ),
        "the kubelet's command line, configuration and checkpoints",
        "the kubelet's process and files can't be read",
        of_fact(kubelet_of, _in_force),
    ),
    NodeCheck(
        Check(
            "topology-policy-refuses",
            "warning",
            "scheduler",
            "a topology manager that admits a pod with all GPUs of the node",
            "Use the policy restricted or best-effort, or ask for no more GPUs than one NUMA node has.",
        ),
        "the kubelet's command line and configuration, /sys/bus/pci/devices/*/numa_node",
        "the policy in force or the GPUs' NUMA nodes are not known",
        of_fact(kubelet_of, _refused),
    ),
    NodeCheck(
        Check(
            "topology-hint-missing",
            "warning",
            "scheduler",
            "a NUMA node for each GPU, as the policy aligns by it",
            "Set the NUMA node in the firmware or the virtual machine's definition.",
        ),
        "the kubelet's command line and configuration, /sys/bus/pci/devices/*/numa_node",
        "the policy in force is not known",
        of_fact(kubelet_of, _hints),
    ),
    NodeCheck(
        Check(
            "topology-not-aligned",
            "info",
            "scheduler",
            "a topology manager policy that aligns, and the static CPU manager",
            "Set topologyManagerPolicy and cpuManagerPolicy if pods should get CPUs near their GPUs.",
        ),
        "the kubelet's command line and configuration",
        "the policies in force are not known",
        of_fact(kubelet_of, _aligned),
    ),
    NodeCheck(
        Check(
            "gpu-cpus-reserved",
            "warning",
            "scheduler",
            "CPUs for guaranteed pods on each NUMA node with GPUs",
            "Set reservedSystemCPUs to some CPUs of each NUMA node, not to all of one.",
        ),
        "the kubelet's command line and configuration, /sys/devices/system/node/node*/cpulist",
        "the CPU manager's policy in force, what it reserves or the NUMA nodes are not known",
        of_fact(_reserved, _left),
    ),
    NodeCheck(
        Check(
            "reserved-cpus-isolated",
            "info",
            "scheduler",
            "reserved CPUs that the kernel schedules the system's tasks on",
            "Let reservedSystemCPUs name CPUs outside of isolcpus.",
        ),
        "the kubelet's command line and configuration, /sys/devices/system/cpu/isolated",
        "the CPU manager's policy in force, what it reserves or the isolated CPUs are not known",
        of_fact(_reserved, _reserved_isolated),
    ),
)
