"""The host: NUMA nodes, CPUs, and the kernel's settings that slow a job down."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, NOT_NEAR, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions import unread
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist

_PERFORMANCE: Final = "performance"
_NO_NUMA: Final = "its NUMA nodes could not be read"


def _numa_stated(machine: Machine) -> Iterator[CheckResult]:
    if machine.several_numa is False or machine.node.unseen:
        return
    for gpu in machine.node.gpus:
        if gpu.numa_node is not None or gpu.numa_nodes:
            yield Fits()
        elif machine.several_numa is None:
            yield Unknown(gpu.key, _NO_NUMA)
        elif gpu.pci_address is None:
            yield Unknown(gpu.key, "its PCI function is not known")
        elif (why := machine.unread("pci", gpu.pci_address, "numa_node")) is not None:
            yield Unknown(gpu.key, f"its NUMA node could not be read: {why}")
        elif "pci" in unread.touched(machine.node):
            yield Unknown(gpu.key, "its PCI function could not be read")
        elif machine.node.host.hypervisor:
            yield Unknown(gpu.key, "the hypervisor states no NUMA node for it")
        else:
            yield Found(gpu.key, "has no NUMA node (-1), and the machine has several")


def _balancing(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus or machine.several_numa is False:
        return
    host = machine.snapshot.host if machine.snapshot is not None else None
    if host is None or host.numa_balancing is None:
        yield Unknown(NODE, "the input does not say whether it is on")
    elif machine.several_numa is None:
        yield Unknown(NODE, _NO_NUMA)
    elif host.numa_balancing:
        yield Found(NODE, f"automatic NUMA balancing is on (kernel.numa_balancing = {host.numa_balancing})")
    else:
        yield Fits()


def _governor(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus or machine.node.host.hypervisor:
        return
    host = machine.snapshot.host if machine.snapshot is not None else None
    if host is None or not host.governors:
        yield Unknown(NODE, "the kernel shows no frequency governor")
        return
    others = [name for name in host.governors if name != _PERFORMANCE]
    yield Found(NODE, f"the frequency governor is {peers.counted(host.governors)}") if others else Fits()


def _isolated(machine: Machine) -> Iterator[CheckResult]:
    """Isolcpus takes CPUs from every pod that does not pin itself; the static CPU manager pins guaranteed pods."""
    if not machine.node.gpus or machine.node.unseen:
        return
    near = machine.near_gpus
    if not machine.node.numa:
        yield Unknown(NODE, _NO_NUMA)
        return
    if not machine.node.host.isolated_cpus:
        yield Unknown(NODE, _NO_NUMA) if machine.unread("numa", "isolated") else Fits()
        return
    if near is None:
        yield Unknown(NODE, NOT_NEAR)
        return
    isolated = set(parse_cpulist(machine.node.host.isolated_cpus))
    for numa in machine.node.numa:
        cpus = set(parse_cpulist(numa.cpus)) if numa.cpus else set()
        if numa.index not in near or not cpus:
            continue
        if cpus <= isolated:
            said = f"all its CPUs ({numa.cpus}) are isolated, and GPUs are near it"
            if machine.node.kubelet is not None and machine.node.kubelet.cpu_manager_policy == "static":
                yield Found(f"NUMA node {numa.index}", f"{said}: only guaranteed pods get CPUs there", "info")
            else:
                yield Found(f"NUMA node {numa.index}", said)
        else:
            yield Fits()


def _hugepages(machine: Machine) -> Iterator[CheckResult]:
    """Pages that are reserved on some of the NUMA nodes only."""
    nodes = [numa for numa in machine.node.numa if numa.cpus]
    if machine.node.gpus and not nodes and not machine.node.unseen:
        yield Unknown(NODE, _NO_NUMA)
    sizes = {size for numa in nodes for size in numa.hugepages}
    for size in sorted(sizes):
        counts = {f"NUMA node {numa.index}": numa.hugepages.get(size, 0) for numa in nodes}
        if machine.unread("numa", "/hugepages"):
            yield Unknown(NODE, "the huge pages of a NUMA node could not be read")
        elif len(set(counts.values())) > 1:
            said = ", ".join(f"{count} on {name}" for name, count in counts.items())
            yield Found(NODE, f"huge pages of {size}: {said}")
        else:
            yield Fits()


def _near_cpus(machine: Machine) -> Iterator[CheckResult]:
    """Whether this process, and so the pod that it is in, may use CPUs near each GPU."""
    allowed = machine.node.host.allowed_cpus
    if not allowed:
        return
    usable = set(parse_cpulist(allowed))
    for gpu in machine.node.gpus:
        near = machine.derived.cpu_affinity.get(gpu.index, "")
        if not near:
            yield Unknown(gpu.key, "the CPUs near it are not known")
        elif not usable & set(parse_cpulist(near)):
            yield Found(gpu.key, f"is near CPUs {near}, and doctor may use {format_cpulist(sorted(usable))} only")
        else:
            yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "gpu-numa-missing",
            "warning",
            "host",
            "a NUMA node for each GPU",
            "Update the firmware, or set it there: without it nothing can be placed near the GPU.",
        ),
        "/sys/bus/pci/devices/*/numa_node",
        "a hypervisor does not pass it on",
        _numa_stated,
    ),
    NodeCheck(
        Check(
            "numa-balancing-on",
            "info",
            "host",
            "automatic NUMA balancing off, for jobs that pin their memory",
            "sysctl kernel.numa_balancing=0",
        ),
        "/proc/sys/kernel/numa_balancing",
        "the input is not a capture, or one of an older release",
        _balancing,
    ),
    NodeCheck(
        Check(
            "cpu-governor",
            "info",
            "host",
            f"the governor {_PERFORMANCE}",
            "cpupower frequency-set -g performance, or the tuned profile throughput-performance.",
        ),
        "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
        "the kernel shows none, or the input is not a capture",
        _governor,
    ),
    NodeCheck(
        Check(
            "gpu-cpus-isolated",
            "warning",
            "host",
            "CPUs for pods on each NUMA node with GPUs",
            "Take some CPUs of that NUMA node out of isolcpus.",
        ),
        "/sys/devices/system/cpu/isolated",
        "the NUMA nodes could not be read",
        _isolated,
    ),
    NodeCheck(
        Check(
            "hugepages-uneven",
            "info",
            "host",
            "as many huge pages on each NUMA node",
            "Reserve them for each node: /sys/devices/system/node/node*/hugepages.",
        ),
        "/sys/devices/system/node/node*/hugepages",
        "the NUMA nodes could not be read",
        _hugepages,
    ),
    NodeCheck(
        Check(
            "gpu-cpus-forbidden",
            "warning",
            "host",
            "CPUs near each GPU in the cgroup",
            "Run doctor outside of the pod's limits, or ask for CPUs near the GPUs.",
        ),
        "/sys/fs/cgroup/cpuset.cpus.effective",
        "the CPUs near the GPU are not known",
        _near_cpus,
    ),
)
