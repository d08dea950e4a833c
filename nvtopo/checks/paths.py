"""The way between a GPU and its NIC: nearness, ACS, the IOMMU, and whether a NIC can reach GPU memory at all."""

from collections.abc import Iterator
from typing import Final, Literal

from nvtopo.checks import peers
from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.conclusions import names
from nvtopo.model.conclusions.locality import Locality

_TRANSLATES: Final = ("DMA", "DMA-FQ")


def _affinity(machine: Machine) -> Iterator[CheckResult]:
    """How near the nearest NIC is, by NCCL's rules, against GPUs of the same product."""
    if not machine.rails or not machine.node.gpus:
        return
    products: dict[str, dict[str, Locality]] = {}
    for gpu in machine.node.gpus:
        level = machine.derived.nearest_nics[gpu.index].nccl_level
        if level is None:
            yield Unknown(gpu.key, "its distance to the NICs can't be known: no common PCIe root, and no NUMA node")
        else:
            products.setdefault(gpu.name, {})[gpu.key] = level
    for levels in products.values():
        words = {name: level.name for name, level in levels.items()}
        if len(set(words.values())) == 1:
            yield Fits()
        elif odd := peers.odd(words):
            most = peers.common(words.values())
            for name, word in odd.items():
                worse = levels[name] > max(other for other in levels.values() if other.name == most)
                yield Found(name, f"has its nearest NIC at {word}, and most GPUs at {most}", None if worse else "info")
        else:
            yield Found(NODE, f"its GPUs have their nearest NIC at {peers.counted(words.values())}", "info")


def _acs(machine: Machine) -> Iterator[CheckResult]:
    """Only of paths that stay below one switch: elsewhere traffic goes through the root anyway."""
    if not machine.rails:
        return
    for index, nearest in machine.derived.nearest_nics.items():
        if nearest.level is None or nearest.level > Locality.PXB:
            continue
        nics = ", ".join(nearest.nics)
        if nearest.acs_redirect is None:
            yield Unknown(
                names.gpu(index), f"the bridges between it and {nics} don't show ACS: only 64 bytes of their config"
            )
        elif nearest.acs_redirect:
            yield Found(names.gpu(index), f"a bridge on the path to {nics} redirects peer traffic to the root (ACS)")
        else:
            yield Fits()


def _iommu(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus or not machine.rails or machine.node.host.hypervisor:
        return
    hidden = False
    if machine.snapshot is None:
        types = {kind: ["its GPUs or NICs"] for kind in machine.node.host.iommu}
    else:
        wanted = {gpu.pci_address for gpu in machine.node.gpus} | {nic.pci_address for nic in machine.rails}
        types = {}
        for address in sorted(filter(None, wanted)):
            if address not in machine.functions:
                yield Unknown(NODE, f"the PCI function {address} could not be read")
                return
            device = machine.functions[address]
            if machine.unread("pci", f"/{address}/iommu_group"):
                yield Unknown(address, "its IOMMU group could not be read")
                hidden = True
            elif device.iommu_group and not device.iommu_type:
                yield Unknown(address, f"the type of its IOMMU group {device.iommu_group} could not be read")
                hidden = True
            elif device.iommu_type:
                types.setdefault(device.iommu_type, []).append(address)
    found = {kind: devices for kind, devices in types.items() if kind in _TRANSLATES}
    for kind, devices in found.items():
        more = f" and {len(devices) - 1} more" if len(devices) > 1 else ""
        yield Found(NODE, f"the IOMMU translates ({kind}) for {devices[0]}{more}")
    if not found and not hidden:
        yield Fits()


def _gpudirect(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus or not any(nic.ports for nic in machine.rails):
        return
    match machine.derived.gpudirect:
        case "none":
            yield Found(NODE, "the closed kernel module is loaded without nvidia-peermem")
        case None:
            yield Unknown(NODE, "the driver does not answer, or the host's modules could not be read")
        case _:
            yield Fits()


def _ats(machine: Machine) -> Iterator[CheckResult]:
    """Behind an IOMMU that translates, a NIC without ATS has every address looked up at the root."""
    if not set(machine.node.host.iommu) & set(_TRANSLATES) or machine.node.host.hypervisor:
        return
    yield from _rail_bits(
        machine,
        "ats",
        "its configuration space shows no address translation services",
        "address translation services are off behind an IOMMU that translates",
    )


def _relaxed(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus or machine.node.host.hypervisor:
        return
    yield from _rail_bits(
        machine,
        "relaxed_ordering",
        "its configuration space is not shown past 64 bytes",
        "relaxed ordering is off in its device control",
    )


def _rail_bits(
    machine: Machine, bit: Literal["ats", "relaxed_ordering"], unknown: str, off: str
) -> Iterator[CheckResult]:
    """Whether the NIC of each rail has a bit of its configuration space set."""
    for nic in machine.rails:
        device = machine.functions.get(nic.pci_address) if nic.pci_address else None
        found: bool | None = None if device is None else getattr(device, bit)
        if found is None:
            yield Unknown(nic.name, unknown)
        elif found:
            yield Fits()
        else:
            yield Found(nic.name, off)


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "gpu-nic-far",
            "warning",
            "pcie",
            "every GPU of a product as near to a NIC as the others",
            "Look at the slots: `nvtopo dump --format tree`. Without a near NIC, NCCL sends through the CPU's memory.",
        ),
        "/sys/bus/pci/devices/*, /sys/bus/pci/devices/*/numa_node",
        "the hypervisor gives neither a common root nor NUMA nodes, or the input shows no paths",
        _affinity,
    ),
    NodeCheck(
        Check(
            "acs-redirect",
            "warning",
            "pcie",
            "no redirection by ACS between a GPU and its NIC",
            "Disable ACS in the firmware, or at boot: `setpci -s BRIDGE ECAP_ACS+6.w=0000` (not on hosts of guests).",
        ),
        "/sys/bus/pci/devices/*, /sys/bus/pci/devices/*/config",
        "config can't be read past 64 bytes (it needs CAP_SYS_ADMIN), or the input has none",
        _acs,
    ),
    NodeCheck(
        Check(
            "iommu-translates",
            "warning",
            "pcie",
            "no translation (identity) for GPUs and NICs on bare metal",
            "Boot with iommu=pt, unless the hypervisor or a security rule needs translation.",
        ),
        "/sys/bus/pci/devices/*/iommu_group, /sys/kernel/iommu_groups/*/type",
        "a GPU or NIC could not be read in /sys",
        _iommu,
    ),
    NodeCheck(
        Check(
            "ats-off",
            "info",
            "pcie",
            "address translation services on",
            "Enable ATS in the NIC's firmware (`mlxconfig set ATS_ENABLED=true`), or let the IOMMU pass through.",
        ),
        "/sys/bus/pci/devices/*/config",
        "config can't be read past 64 bytes (it needs CAP_SYS_ADMIN), or the function has none",
        _ats,
    ),
    NodeCheck(
        Check(
            "relaxed-ordering-off",
            "info",
            "pcie",
            "relaxed ordering on, which several CPUs need for full bandwidth",
            "Set PCI_WR_ORDERING in the NIC's firmware (`mlxconfig`), and relaxed ordering in the BIOS.",
        ),
        "/sys/bus/pci/devices/*/config",
        "config can't be read past 64 bytes (it needs CAP_SYS_ADMIN), or the input has none",
        _relaxed,
    ),
    NodeCheck(
        Check(
            "gpudirect-rdma-missing",
            "warning",
            "runtime",
            "dma-buf (the open kernel module) or nvidia-peermem",
            "Install the open kernel module, or load nvidia-peermem.",
        ),
        "/proc/driver/nvidia/version, /sys/module/nvidia_peermem",
        "the driver does not answer",
        _gpudirect,
        one_is_enough=True,
    ),
)
