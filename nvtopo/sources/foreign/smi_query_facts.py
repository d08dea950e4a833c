"""What ``nvidia-smi -q`` answers for one GPU, as text or as XML, as the facts that NVML would have given.

The two spell their fields differently; both say ``N/A`` where a GPU has none. NVLinks are in neither.
"""

import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from nvtopo.model.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.facts import GpuFabric, GpuFacts, GpuPlatform, NvmlFacts, PcieLink
from nvtopo.model.node import NodeTopology
from nvtopo.model.snapshot import Snapshot
from nvtopo.sources.foreign.given import Notes

SOURCE = "nvidia-smi -q"
_NUMBER = re.compile(r"(?:0x)?([0-9]{1,9})(?:x| MiB)?")
_MEBIBYTE = 1 << 20
_LONGEST = 200

Answer = Callable[[str], str]
"""A field's path → its value; empty where it is not there or not available."""


class Spelling(NamedTuple):
    """Where a field stands, in XML and in text."""

    xml: str
    text: str


FIELDS: Final = {
    "name": Spelling("product_name", "Product Name"),
    "uuid": Spelling("uuid", "GPU UUID"),
    "address": Spelling("pci/pci_bus_id", "PCI/Bus Id"),
    "minor": Spelling("minor_number", "Minor Number"),
    "module": Spelling("gpu_module_id", "Module ID"),
    "vbios": Spelling("vbios_version", "VBIOS Version"),
    "mig": Spelling("mig_mode/current_mig", "MIG Mode/Current"),
    "memory": Spelling("fb_memory_usage/total", "FB Memory Usage/Total"),
    "generation": Spelling(
        "pci/pci_gpu_link_info/pcie_gen/current_link_gen", "PCI/GPU Link Info/PCIe Generation/Current"
    ),
    "max generation": Spelling("pci/pci_gpu_link_info/pcie_gen/max_link_gen", "PCI/GPU Link Info/PCIe Generation/Max"),
    "width": Spelling("pci/pci_gpu_link_info/link_widths/current_link_width", "PCI/GPU Link Info/Link Width/Current"),
    "max width": Spelling("pci/pci_gpu_link_info/link_widths/max_link_width", "PCI/GPU Link Info/Link Width/Max"),
    "fabric state": Spelling("fabric/state", "Fabric/State"),
    "fabric status": Spelling("fabric/status", "Fabric/Status"),
    "clique": Spelling("fabric/cliqueId", "Fabric/CliqueId"),
    "cluster": Spelling("fabric/clusterUuid", "Fabric/ClusterUUID"),
    "fabric health": Spelling("fabric/health/summary", "Fabric/Health/Summary"),
    "chassis": Spelling("platformInfo/chassis_serial_number", "Platform Info/Chassis Serial Number"),
    "slot": Spelling("platformInfo/slot_number", "Platform Info/Slot Number"),
    "tray": Spelling("platformInfo/tray_index", "Platform Info/Tray Index"),
    "host": Spelling("platformInfo/host_id", "Platform Info/Host ID"),
    "platform module": Spelling("platformInfo/module_id", "Platform Info/Module Id"),
    "fabric guid": Spelling("platformInfo/gpu_fabric_guid", "Platform Info/GPU Fabric GUID"),
}

_STATES: Final[dict[str, Literal["not-supported", "not-started", "in-progress", "completed"]]] = {
    "Not Supported": "not-supported",
    "Not Started": "not-started",
    "In Progress": "in-progress",
    "Completed": "completed",
}
_HEALTH: Final[dict[str, Literal["healthy", "unhealthy", "limited-capacity"]]] = {
    "Healthy": "healthy",
    "Unhealthy": "unhealthy",
    "Limited Capacity": "limited-capacity",
}
#: NVML's return code for anything but success; the text does not say which.
_FAILED = 999


def facts(index: int, answer: Answer) -> GpuFacts:
    """One GPU."""
    mig = answer("mig")
    return GpuFacts(
        index=index,
        uuid=answer("uuid")[:_LONGEST],
        name=answer("name")[:_LONGEST],
        pci_address=_address(answer("address")),
        minor=number(answer("minor")),
        module_id=number(answer("module")),
        memory_bytes=_times(number(answer("memory")), _MEBIBYTE),
        vbios=answer("vbios")[:_LONGEST] or None,
        mig={"Enabled": True, "Disabled": False}.get(mig),
        fabric=_fabric(answer),
        platform=_platform(answer),
        link=_link(answer),
    )


def node(gpus: list[GpuFacts], driver: str, cuda: str, attached: str, notes: Notes) -> NodeTopology:
    """The node that these GPUs make. Several GPUs may have NVLinks that this output does not show."""
    from msgspec.structs import replace

    from nvtopo.model.assemble import assemble

    if number(attached) is not None and number(attached) != len(gpus):
        notes.add("GPUs", f"says that {number(attached)} are attached, and describes {len(gpus)}: the input is cut")
    if len(gpus) > 1:
        notes.add("NVLink", "`nvidia-smi -q` does not show it: `nvidia-smi topo -m` does")
    nvml = NvmlFacts(driver_version=driver[:_LONGEST], cuda_version=cuda[:_LONGEST], gpus=tuple(gpus))
    assembled = assemble(Snapshot(nvml=nvml, problems=notes.problems))
    return replace(assembled, nvlink_hidden=len(gpus) > 1)


def number(text: str) -> int | None:
    """``16x``, ``81559 MiB``, ``0x04`` are not, and ``7`` is a number; None where there is none."""
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match and not text.startswith("0x") else None


def _times(value: int | None, unit: int) -> int | None:
    return None if value is None else value * unit


def _address(text: str) -> PciAddress | None:
    return parse_pci_address(text) if is_pci_address(text) else None


def _link(answer: Answer) -> PcieLink | None:
    link = PcieLink(
        generation=number(answer("generation")),
        width=number(answer("width")),
        max_generation=number(answer("max generation")),
        max_width=number(answer("max width")),
    )
    return None if link == PcieLink() else link


def _fabric(answer: Answer) -> GpuFabric | None:
    state = _STATES.get(answer("fabric state"))
    if state is None:
        return None
    status = answer("fabric status")
    return GpuFabric(
        state=state,
        status=None if not status else 0 if status == "Success" else _FAILED,
        cluster_uuid=answer("cluster")[:_LONGEST] or None,
        clique_id=number(answer("clique")),
        health_summary=_HEALTH.get(answer("fabric health")),
    )


def _platform(answer: Answer) -> GpuPlatform | None:
    platform = GpuPlatform(
        chassis_serial=answer("chassis")[:_LONGEST] or None,
        slot=number(answer("slot")),
        tray=number(answer("tray")),
        host=number(answer("host")),
        module=number(answer("platform module")),
        fabric_guid=answer("fabric guid")[:_LONGEST] or None,
    )
    return None if platform == GpuPlatform() else platform
