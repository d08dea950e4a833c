"""Facts → ``NodeTopology``: fold links, join by PCI address, order. The only place that builds a node from facts."""

from collections.abc import Iterable

from msgspec.structs import replace

from nvtopo.model.conclusions import nvlink
from nvtopo.model.conclusions.distance import full_path
from nvtopo.model.conclusions.links import link_count
from nvtopo.model.conclusions.locality import between
from nvtopo.model.conclusions.nics import acs_redirect, model_of, nics
from nvtopo.model.conclusions.pcie import link_at
from nvtopo.model.conclusions.presence import state
from nvtopo.model.conclusions.training import BOOT_GRACE_SECONDS, in_training
from nvtopo.model.formats.address import PciAddress
from nvtopo.model.records.facts import GpuFabric, GpuFacts, NumaNode, PciDevice, PcieLink
from nvtopo.model.records.node import Accelerator, Gpu, GpuPair, Host, NodeTopology, Nvme
from nvtopo.model.records.nvlinks import fold
from nvtopo.model.records.places import PciRoot
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot

_NVIDIA = "0x10de"
_VGA_CLASS = "0x0300"
_GPU_CLASSES = ("0x0300", "0x0302")
#: 3D controllers, processing accelerators.
_ACCELERATOR_CLASSES = ("0x0302", "0x1200")
#: Displays without a screen: Intel's data center GPUs, and graphics inside a CPU, which is on the root bus.
_HEADLESS_CLASS = "0x0380"
#: AMD, Intel, Habana. Their display controllers are of no interest here.
_OTHER_VENDORS = frozenset({"0x1002", "0x8086", "0x1da3"})
_NVSWITCH_CLASS = "0x0680"
_ALLOWED = "OK"
_NOT_ASKED = (_ALLOWED, None)


def assemble(snapshot: Snapshot, boot_grace_seconds: float = BOOT_GRACE_SECONDS) -> NodeTopology:
    """The node that these facts describe. During the grace after boot, links that are not up count as training."""
    pci = {device.address: device for device in snapshot.pci.devices} if snapshot.pci else {}
    cpus = {node.index: node.cpus for node in snapshot.numa.nodes} if snapshot.numa else {}
    uptime = snapshot.host.uptime_seconds if snapshot.host else None
    linked = _linked(snapshot)
    gpus = tuple(
        _shown(
            replace(_gpu(facts, pci, cpus), nvlink_training=in_training(facts, uptime, boot_grace_seconds)),
            linked=facts.index in linked,
        )
        for facts in _gpus(snapshot)
    )
    return NodeTopology(
        host=_host(snapshot),
        numa=_numa(snapshot.numa.nodes) if snapshot.numa else (),
        pci=_roots(pci, counted=not gpus and not any(map(is_gpu, pci.values()))),
        gpus=gpus,
        pairs=_pairs(snapshot, {gpu.index: gpu for gpu in gpus}),
        accelerators=_accelerators(pci, {gpu.pci_address for gpu in gpus}),
        nvswitches=tuple(sorted(address for address, device in pci.items() if _is_nvswitch(device))),
        nics=nics(snapshot, pci),
        neighbors=snapshot.lldp.neighbors if snapshot.lldp else (),
        nvmes=_nvmes(snapshot, pci),
        kubelet=snapshot.kubelet,
        attributes=snapshot.attributes,
        problems=ordered((*snapshot.problems, *_missing_gpus(snapshot, pci), *nvlink.one_sided(gpus))),
    )


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems, each once, in the order that they always have."""
    return tuple(sorted(set(problems), key=lambda problem: (problem.source, problem.subject, problem.reason)))


def _accelerators(pci: dict[PciAddress, PciDevice], answering: set[PciAddress | None]) -> tuple[Accelerator, ...]:
    """Physical functions that NVML does not answer for: NVIDIA's GPUs, and other vendors' accelerators."""
    return tuple(
        Accelerator(
            pci_address=address,
            model=model_of(device) or device.vendor.removeprefix("0x"),
            driver=device.driver,
            display=_is_display(device, pci, answering),
            path=device.path,
            numa_node=device.numa_node,
        )
        for address, device in sorted(pci.items())
        if address not in answering and device.physfn is None and (is_gpu(device) or _is_other(device))
    )


def _is_display(device: PciDevice, pci: dict[PciAddress, PciDevice], answering: set[PciAddress | None]) -> bool:
    """Whether a card is for a screen, and not for the NVIDIA driver: no GPU that answers is of its model."""
    models = {model_of(pci[address]) for address in answering if address in pci}
    is_vga = is_gpu(device) and device.class_code.startswith(_VGA_CLASS)
    return is_vga and device.driver != "nvidia" and bool(models) and model_of(device) not in models


def _is_other(device: PciDevice) -> bool:
    headless = device.class_code.startswith(_HEADLESS_CLASS) and "/" in device.path
    return device.vendor in _OTHER_VENDORS and (headless or device.class_code.startswith(_ACCELERATOR_CLASSES))


def is_gpu(device: PciDevice) -> bool:
    """Whether a PCI function is an NVIDIA GPU."""
    return device.vendor == _NVIDIA and device.class_code.startswith(_GPU_CLASSES)


def _gpus(snapshot: Snapshot) -> tuple[GpuFacts, ...]:
    return tuple(sorted(snapshot.nvml.gpus, key=lambda gpu: gpu.index)) if snapshot.nvml else ()


def _host(snapshot: Snapshot) -> Host:
    facts, nvml = snapshot.host, snapshot.nvml
    return Host(
        architecture=facts.architecture if facts else "",
        kernel=facts.kernel if facts else "",
        vendor=facts.vendor if facts else "",
        product=facts.product if facts else "",
        hypervisor=facts.hypervisor if facts else False,
        nvidia_open=facts.nvidia_open if facts else False,
        peermem=facts.peermem if facts else False,
        iommu=_iommu(snapshot),
        isolated_cpus=snapshot.numa.isolated_cpus if snapshot.numa else "",
        allowed_cpus=snapshot.numa.allowed_cpus if snapshot.numa else "",
        driver_version=(nvml.driver_version or None) if nvml else None,
        cuda_version=(nvml.cuda_version or None) if nvml else None,
    )


def _numa(nodes: tuple[NumaNode, ...]) -> tuple[NumaNode, ...]:
    """The nodes that have CPUs or memory, with the distances between them.

    A Grace machine has eight nodes for each GPU, seven of them empty until MIG divides it (gb200-nvl72-tray).
    """
    ordered = sorted(nodes, key=lambda node: node.index)
    kept = [position for position, node in enumerate(ordered) if node.cpus or node.memory_bytes]
    return tuple(
        replace(node, distances=tuple(node.distances[at] for at in kept) if len(node.distances) == len(nodes) else ())
        for node in (ordered[position] for position in kept)
    )


def _own_cpus(device: PciDevice | None, numa: dict[int, str]) -> str:
    """A function's CPUs, where its NUMA node does not say the same."""
    if device is None or (device.numa_node is not None and device.local_cpus == numa.get(device.numa_node)):
        return ""
    return device.local_cpus


def _iommu(snapshot: Snapshot) -> tuple[str, ...]:
    devices = snapshot.pci.devices if snapshot.pci else ()
    return tuple(sorted({device.iommu_type for device in devices if device.iommu_type}))


def _gpu(facts: GpuFacts, pci: dict[PciAddress, PciDevice], numa: dict[int, str]) -> Gpu:
    device = pci.get(facts.pci_address) if facts.pci_address else None
    return Gpu(
        index=facts.index,
        uuid=facts.uuid,
        name=facts.name,
        vbios=facts.vbios,
        compute_capability=facts.compute_capability,
        pci_address=facts.pci_address,
        path=device.path if device else "",
        numa_node=device.numa_node if device else None,
        local_cpus=_own_cpus(device, numa),
        module_id=facts.module_id,
        memory_bytes=facts.memory_bytes,
        memory_numa_node=facts.memory_numa_node,
        mig=facts.mig,
        link=_steady(facts.link or (link_at(device.address, pci) if device else None)),
        acs_redirect=acs_redirect(device.path, pci) if device else None,
        nvlink_count=facts.nvlink_count,
        nvlinks_unknown=facts.nvlinks_unknown,
        nvlinks=fold(facts.nvlinks),
        recovery_action=facts.recovery_action,
        memory_repair=facts.memory_repair,
        fabric=_fabric(facts.fabric),
        platform=facts.platform,
        c2c_links=facts.c2c_links,
        c2c_bytes_per_second=facts.c2c_bytes_per_second,
    )


def _linked(snapshot: Snapshot) -> frozenset[int]:
    """Indices of the GPUs that have NVLinks, since the driver allows peer access over them."""
    pairs = snapshot.nvml.pairs if snapshot.nvml else ()
    return frozenset(index for pair in pairs if pair.nvlink_p2p == _ALLOWED for index in (pair.a, pair.b))


def _shown(gpu: Gpu, *, linked: bool) -> Gpu:
    """The GPU; one that has NVLinks and shows none hides them."""
    return replace(gpu, nvlinks_unknown=True) if linked and not gpu.mig and not link_count(gpu) else gpu


def _fabric(facts: GpuFabric | None) -> GpuFabric | None:
    """The fabric state, without the all-zero cluster UUID of a machine that is in no multi-node domain."""
    if facts is None or facts.cluster_uuid is None or facts.cluster_uuid.strip("0-"):
        return facts
    return replace(facts, cluster_uuid=None)


def _steady(link: PcieLink | None) -> PcieLink | None:
    """A link without what changes from second to second: an idle GPU lowers its generation."""
    if link is None:
        return None
    return PcieLink(width=link.width, max_generation=link.max_generation, max_width=link.max_width)


def _pairs(snapshot: Snapshot, gpus: dict[int, Gpu]) -> tuple[GpuPair, ...]:
    """What the driver says of pairs and the facts of each GPU do not say already."""
    found = []
    for facts in snapshot.nvml.pairs if snapshot.nvml else ():
        one, other = gpus.get(facts.a), gpus.get(facts.b)
        if one is None or other is None:
            continue
        asked = nvlink.joined(one, other) or one.nvlinks_unknown or other.nvlinks_unknown
        p2p = facts.nvlink_p2p if asked else None
        level = None if facts.level == _level(one, other) else facts.level
        if level is not None or p2p not in _NOT_ASKED:
            found.append(GpuPair(a=facts.a, b=facts.b, level=level, nvlink_p2p=None if p2p in _NOT_ASKED else p2p))
    return tuple(sorted(found, key=lambda pair: (pair.a, pair.b)))


def _level(one: Gpu, other: Gpu) -> str | None:
    a, b = full_path(one), full_path(other)
    if not a or not b:
        return None
    same = None if one.numa_node is None or other.numa_node is None else one.numa_node == other.numa_node
    level = between(a, b, same_numa=same)
    return None if level is None else level.name


def _roots(pci: dict[PciAddress, PciDevice], *, counted: bool) -> tuple[PciRoot, ...]:
    """The root buses. Their functions are counted where that is all there is to show: beside GPUs nothing reads it."""
    below: dict[str, list[PciDevice]] = {}
    for device in pci.values():
        below.setdefault(device.path.partition("/")[0], []).append(device)
    return tuple(_root(root, devices, counted=counted) for root, devices in sorted(below.items()))


def _root(root: str, devices: list[PciDevice], *, counted: bool) -> PciRoot:
    nodes = {device.numa_node for device in devices} - {None}
    functions = len(devices) if counted else 0
    return PciRoot(root=root, numa_node=nodes.pop() if len(nodes) == 1 else None, functions=functions)


def _is_nvswitch(device: PciDevice) -> bool:
    return device.vendor == _NVIDIA and device.class_code.startswith(_NVSWITCH_CLASS)


def _nvmes(snapshot: Snapshot, pci: dict[PciAddress, PciDevice]) -> tuple[Nvme, ...]:
    nvmes = snapshot.storage.nvmes if snapshot.storage else ()
    return tuple(
        Nvme(
            name=nvme.name,
            pci_address=nvme.pci_address,
            path=pci[nvme.pci_address].path if nvme.pci_address in pci else "",
            numa_node=pci[nvme.pci_address].numa_node if nvme.pci_address in pci else None,
        )
        for nvme in sorted(nvmes, key=lambda nvme: nvme.pci_address)
    )


def _missing_gpus(snapshot: Snapshot, pci: dict[PciAddress, PciDevice]) -> tuple[Problem, ...]:
    """GPUs that the PCI bus has and the driver does not answer for (Xid 79, or no driver at all)."""
    answered = {gpu.pci_address for gpu in snapshot.nvml.gpus} if snapshot.nvml else set()
    meant = [device.pci_address for device in _accelerators(pci, set(answered)) if state(device) == "silent"]
    if not meant:
        return ()
    if snapshot.nvml is None:
        if any(problem.source == "nvml" for problem in snapshot.problems):
            return ()
        count = f"{len(meant)} NVIDIA GPU{'s' if len(meant) > 1 else ''} on the PCI bus"
        return (Problem(source="nvml", subject="driver", reason=f"{count} and no NVIDIA driver library"),)
    return tuple(
        Problem(
            source="nvml",
            subject=address,
            reason="GPU is on the PCI bus and the driver does not answer for it",
        )
        for address in meant
    )
