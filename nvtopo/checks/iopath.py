"""GPUDirect Storage, network mounts that share a rail, and interrupts of rails that CPUs far from the NIC get."""

from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts import IoPathFacts

_DEEPEST: Final = 4


def _facts(machine: Machine) -> IoPathFacts | None:
    return machine.snapshot.iopath if machine.snapshot is not None else None


def _storage(machine: Machine) -> Iterator[CheckResult]:
    """Only where GPUDirect Storage is installed: nobody else misses it."""
    facts = _facts(machine)
    if facts is None or not facts.cufile or not machine.node.gpus:
        return
    if facts.nvidia_fs is None:
        yield Unknown(NODE, "/proc/modules is not shown")
    elif facts.nvidia_fs:
        yield Fits()
    else:
        yield Found(NODE, "/etc/cufile.json is there and the module nvidia_fs is not loaded")


def _mounts(machine: Machine) -> Iterator[CheckResult]:
    """Which NIC, on which NUMA node, the route to each network mount takes."""
    facts = _facts(machine)
    if facts is None or not machine.rails:
        return
    lower = _lower(machine)
    rails = {netdev: nic for nic in machine.rails for netdev in nic.netdevs}
    others = {netdev for nic in machine.node.nics for netdev in nic.netdevs}
    for mount in facts.mounts:
        subject = f"{mount.path} ({mount.kind})"
        if mount.netdev is None:
            yield Unknown(subject, "its server has no IPv4 address there, or no route goes to it")
            continue
        devices = _below(mount.netdev, lower)
        shared = sorted({rails[device].name for device in devices if device in rails})
        if shared:
            nodes = sorted({str(rails[device].numa_node) for device in devices if device in rails})
            where = f"{', '.join(shared)}, on NUMA node {', '.join(nodes)}"
            yield Found(subject, f"the route to its server takes {mount.netdev}, a compute rail: {where}")
        elif devices & others:
            yield Fits()
        else:
            yield Unknown(subject, f"which NIC is behind {mount.netdev} is not known")


def _lower(machine: Machine) -> Mapping[str, tuple[str, ...]]:
    """Network device → what it stands on, and its members if it is a bond."""
    net = machine.snapshot.net if machine.snapshot is not None else None
    if net is None:
        return {}
    found: dict[str, set[str]] = {device.name: set(device.lower) for device in net.devices}
    for device in net.devices:
        if device.master is not None:
            found.setdefault(device.master, set()).add(device.name)
    return {name: tuple(sorted(below)) for name, below in found.items()}


def _below(netdev: str, lower: Mapping[str, tuple[str, ...]]) -> set[str]:
    found, front = {netdev}, {netdev}
    for _ in range(_DEEPEST):
        front = {below for name in front for below in lower.get(name, ())} - found
        found |= front
    return found


def _interrupts(machine: Machine) -> Iterator[CheckResult]:
    """Of the rails of machines with several NUMA nodes: a CPU far from the NIC takes longer for each."""
    facts = _facts(machine)
    cpus = {numa.index: set(parse_cpulist(numa.cpus)) for numa in machine.node.numa if numa.cpus}
    if facts is None or len(cpus) < 2:  # noqa: PLR2004 - all are near
        return
    shown = {one.netdev: one for one in facts.interrupts}
    for nic in machine.rails:
        for netdev in nic.netdevs:
            one = shown.get(netdev)
            near = cpus.get(nic.numa_node) if nic.numa_node is not None else None
            if one is None:
                continue
            if not one.count or near is None:
                yield Unknown(nic.name, "where its interrupts go, or its NUMA node, is not shown")
            elif set(parse_cpulist(one.cpus)) & near:
                yield Fits()
            else:
                yield Found(
                    nic.name,
                    f"its {one.count} interrupts go to CPUs {one.cpus}, none of its NUMA node {nic.numa_node}",
                )


def _disturbed(machine: Machine) -> Iterator[CheckResult]:
    """CPUs are isolated for jobs that nothing may interrupt."""
    facts = _facts(machine)
    if facts is None:
        return
    isolated = set(parse_cpulist(machine.node.host.isolated_cpus))
    rails = {netdev: nic.name for nic in machine.rails for netdev in nic.netdevs}
    for one in facts.interrupts:
        if one.netdev not in rails:
            continue
        if not one.count or not machine.node.numa:
            yield Unknown(rails[one.netdev], "where its interrupts go, or which CPUs are isolated, is not shown")
        elif hit := isolated & set(parse_cpulist(one.cpus)):
            yield Found(
                rails[one.netdev], f"some of its {one.count} interrupts go to isolated CPUs {format_cpulist(hit)}"
            )
        else:
            yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "gds-module-missing",
            "info",
            "storage",
            "the module nvidia_fs where GPUDirect Storage is installed",
            "`modprobe nvidia_fs`, or leave it to cuFile's own mode for PCI peers; `gdscheck -p` says which is in use.",
        ),
        "/etc/cufile.json, /proc/modules",
        "the kernel's modules are not shown",
        _storage,
    ),
    NodeCheck(
        Check(
            "mount-on-rail",
            "info",
            "storage",
            "network mounts by other NICs than those of the compute network",
            "Route the storage network by its own NIC, if collectives and storage are to be kept apart.",
        ),
        "/proc/1/mounts, /proc/net/route",
        "the server is a name or has no IPv4 address, or the route's device stands on no NIC",
        _mounts,
    ),
    NodeCheck(
        Check(
            "nic-interrupts-far",
            "info",
            "network-fabric",
            "interrupts of a rail on CPUs of its own NUMA node",
            "Let irqbalance or `set_irq_affinity_bynode.sh` of the NIC's driver move them; isolated CPUs get none.",
        ),
        "/sys/class/net/*/device/msi_irqs, /proc/irq/*/effective_affinity_list",
        "the interrupts' CPUs or the NIC's NUMA node are not shown",
        _interrupts,
    ),
    NodeCheck(
        Check(
            "nic-interrupts-isolated",
            "info",
            "network-fabric",
            "interrupts of rails on CPUs that are not isolated",
            "Let irqbalance leave out isolated CPUs (it does by default), or write other CPUs to smp_affinity_list.",
        ),
        "/sys/class/net/*/device/msi_irqs, /proc/irq/*/effective_affinity_list, /sys/devices/system/cpu/isolated",
        "the interrupts' CPUs or the isolated ones are not shown",
        _disturbed,
    ),
)
