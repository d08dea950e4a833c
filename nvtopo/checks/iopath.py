"""GPUDirect Storage, network mounts that share a rail, and interrupts of rails that CPUs far from the NIC get."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks import netdevs
from nvtopo.checks.check import NODE, NOT_NEAR, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.formats.cpulist import format_cpulist, parse_cpulist
from nvtopo.model.records.facts import IoPathFacts


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


def _copies(machine: Machine) -> Iterator[CheckResult]:
    """As for GPUDirect Storage: only where it is installed."""
    facts = _facts(machine)
    if facts is None or not facts.gdrcopy or not machine.node.gpus:
        return
    if facts.gdrdrv is None:
        yield Unknown(NODE, "/proc/modules is not shown")
    elif facts.gdrdrv:
        yield Fits()
    else:
        yield Found(NODE, "gdrcopy is installed and the module gdrdrv is not loaded")


def _far(machine: Machine) -> Iterator[CheckResult]:
    """On which NUMA node the NIC of each network mount is: GPUs near another one read through the other socket."""
    facts = _facts(machine)
    near = machine.near_gpus
    if facts is None or not facts.mounts or (near is not None and len(near) < 2):  # noqa: PLR2004 - all is near
        return
    if near is None:
        yield Unknown(NODE, NOT_NEAR)
        return
    lower = netdevs.lower(machine)
    nics = {netdev: nic for nic in machine.node.nics for netdev in nic.netdevs}
    for mount in facts.mounts:
        subject = f"{mount.path} ({mount.kind})"
        below = netdevs.below(mount.netdev, lower) if mount.netdev is not None else set()
        found = {nics[netdev].name: nics[netdev].numa_node for netdev in below if netdev in nics}
        if not found or None in found.values():
            yield Unknown(subject, "the NIC of the route to its server, or its NUMA node, is not known")
            continue
        far = [gpu.key for gpu in machine.node.gpus if gpu.numa_node not in {None, *found.values()}]
        nodes = ", ".join(sorted({str(numa) for numa in found.values()}))
        way = f"the route to its server takes {mount.netdev} ({', '.join(sorted(found))}) on NUMA node {nodes}"
        yield Found(subject, f"{way}, and {', '.join(far)} are near another") if far else Fits()


def _mounts(machine: Machine) -> Iterator[CheckResult]:
    """Which NIC, on which NUMA node, the route to each network mount takes."""
    facts = _facts(machine)
    if facts is None or not machine.rails:
        return
    lower = netdevs.lower(machine)
    rails = {netdev: nic for nic in machine.rails for netdev in nic.netdevs}
    others = {netdev for nic in machine.node.nics for netdev in nic.netdevs}
    for mount in facts.mounts:
        subject = f"{mount.path} ({mount.kind})"
        if mount.netdev is None:
            yield Unknown(subject, "the address of its server is not shown, or no route goes to it")
            continue
        devices = netdevs.below(mount.netdev, lower)
        shared = sorted({rails[device].name for device in devices if device in rails})
        if shared:
            nodes = sorted({str(rails[device].numa_node) for device in devices if device in rails})
            where = f"{', '.join(shared)}, on NUMA node {', '.join(nodes)}"
            yield Found(subject, f"the route to its server takes {mount.netdev}, a compute rail: {where}")
        elif devices & others:
            yield Fits()
        else:
            yield Unknown(subject, f"which NIC is behind {mount.netdev} is not known")


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
        "/proc/1/mounts, /proc/net/route, /proc/net/ipv6_route",
        "the server's address or the route to it is not shown, or the route's device stands on no NIC",
        _mounts,
    ),
    NodeCheck(
        Check(
            "mount-far",
            "info",
            "storage",
            "the NIC of a network mount on each NUMA node with GPUs",
            "Nothing is to be done if it was built so; place jobs that read much near the NIC.",
        ),
        "/proc/1/mounts, /proc/net/route, /proc/net/ipv6_route, /sys/bus/pci/devices/*/numa_node",
        "the server's address or the route to it is not shown, or the firmware states no NUMA node for the NIC",
        _far,
    ),
    NodeCheck(
        Check(
            "gdrcopy-module-missing",
            "info",
            "runtime",
            "the module gdrdrv where gdrcopy is installed",
            "`modprobe gdrdrv`, or let the GPU operator load it; UCX and NVSHMEM copy more slowly without it.",
        ),
        "libgdrapi.so.2, /dev/gdrdrv, /proc/modules",
        "the kernel's modules are not shown",
        _copies,
    ),
    NodeCheck(
        Check(
            "nic-interrupts-far",
            "info",
            "network-fabric",
            "interrupts of a rail on CPUs of its own NUMA node",
            "Let irqbalance or `set_irq_affinity_bynode.sh` of the NIC's driver move them; isolated CPUs get none.",
        ),
        "/sys/class/net/*/device/msi_irqs, /proc/irq/*/effective_affinity_list, /sys/devices/system/node/node*/cpulist",
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
