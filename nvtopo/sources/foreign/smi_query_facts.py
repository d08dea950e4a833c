"""What ``nvidia-smi -q`` answers for one GPU, as text or as XML, as the facts that NVML would have given.

The two spell their fields differently; both say ``N/A`` where a GPU has none. NVLinks are in neither.
"""

import re
from collections.abc import Callable, Collection
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from nvtopo.model.conclusions.assemble import assemble
from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.records.facts import GpuFabric, GpuFacts, GpuPlatform, NvmlFacts, PcieLink
from nvtopo.model.records.node import NodeTopology
from nvtopo.model.records.record import Problem
from nvtopo.model.records.snapshot import Snapshot
from nvtopo.sources.foreign import smi_errors
from nvtopo.sources.foreign.given import Notes

SOURCE = "nvidia-smi -q"
_NUMBER = re.compile(r"(?:0x)?([0-9]{1,9})(?:x| MiB)?")
_MEBIBYTE = 1 << 20
_LONGEST = 200
_OF_FABRIC = ("state", "status", "cluster_uuid", "clique_id")

FieldReader = Callable[[str], str]
"""A field's path → its value; empty where it is not there or not available."""


class Spelling(NamedTuple):
    """Where a field stands, in XML and in text."""

    xml: str
    text: str


_FABRIC_STATE: Final = "fabric state"
FIELDS: Final = {
    "name": Spelling("product_name", "Product Name"),
    "uuid": Spelling("uuid", "GPU UUID"),
    "address": Spelling("pci/pci_bus_id", "PCI/Bus Id"),
    "minor": Spelling("minor_number", "Minor Number"),
    "module": Spelling("gpu_module_id", "Module ID"),
    "vbios": Spelling("vbios_version", "VBIOS Version"),
    "virtualization": Spelling(
        "gpu_virtualization_mode/virtualization_mode", "GPU Virtualization Mode/Virtualization Mode"
    ),
    "mig": Spelling("mig_mode/current_mig", "MIG Mode/Current"),
    "memory": Spelling("fb_memory_usage/total", "FB Memory Usage/Total"),
    "generation": Spelling(
        "pci/pci_gpu_link_info/pcie_gen/current_link_gen", "PCI/GPU Link Info/PCIe Generation/Current"
    ),
    "max generation": Spelling("pci/pci_gpu_link_info/pcie_gen/max_link_gen", "PCI/GPU Link Info/PCIe Generation/Max"),
    "width": Spelling("pci/pci_gpu_link_info/link_widths/current_link_width", "PCI/GPU Link Info/Link Width/Current"),
    "max width": Spelling("pci/pci_gpu_link_info/link_widths/max_link_width", "PCI/GPU Link Info/Link Width/Max"),
    _FABRIC_STATE: Spelling("fabric/state", "Fabric/State"),
    "fabric status": Spelling("fabric/status", "Fabric/Status"),
    "clique": Spelling("fabric/cliqueId", "Fabric/CliqueId"),
    "cluster": Spelling("fabric/clusterUuid", "Fabric/ClusterUUID"),
    "fabric health": Spelling("fabric/health/summary", "Fabric/Health/Summary"),
    "bandwidth": Spelling("fabric/health/bandwidth", "Fabric/Health/Bandwidth"),
    "recovery": Spelling("fabric/health/route_recovery_in_progress", "Fabric/Health/Route Recovery in progress"),
    "route": Spelling("fabric/health/route_unhealthy", "Fabric/Health/Route Unhealthy"),
    "timeout": Spelling("fabric/health/access_timeout_recovery", "Fabric/Health/Access Timeout Recovery"),
    "configuration": Spelling("fabric/health/incorrect_configuration", "Fabric/Health/Incorrect Configuration"),
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
#: Two bits for each field: 1 is so, 2 is not so, 0 not supported.
_HEALTH_BITS: Final = {"Degraded": 1, "True": 1, "Full": 2, "False": 2}
_CONFIGURATION_SHIFT: Final = 8
#: The tool says ``None`` where the configuration is sound; which reason it names otherwise makes no difference here.
_CONFIGURATION_SOUND: Final = 1
_CONFIGURATION_WRONG: Final = 15
#: The virtualization modes of a GPU that a hypervisor gave to the guest which printed this.
_OF_GUEST: Final = frozenset({"Pass-Through", "VGPU"})
#: NVML's return code for anything but success; the text does not say which.
_FAILED = 999


def node(
    gpus: dict[int, FieldReader], versions: tuple[str, str], attached: str, notes: Notes, torn: Collection[int] = ()
) -> NodeTopology:
    """The node that these GPUs make, by index. Several GPUs may have NVLinks that this output does not show.

    ``versions`` are those of driver and CUDA. Of ``torn`` GPUs not all is there.
    """
    if number(attached) is not None and number(attached) != len(gpus):
        notes.add("GPUs", f"says that {number(attached)} are attached, and describes {len(gpus)}: the input is cut")
    if len(gpus) > 1:
        notes.add("NVLink", "`nvidia-smi -q` does not show it: `nvidia-smi topo -m` does")
    facts = _with_torn(tuple(_facts(index, _sound(answer)) for index, answer in gpus.items()), torn)
    errors = tuple(_error(gpu, gpus[gpu.index]) for gpu in facts)
    nvml = NvmlFacts(driver_version=_version(versions[0]), cuda_version=_version(versions[1]), gpus=facts)
    problems = (*notes.problems, *(error for error in errors if error is not None))
    in_part = bool(torn) or number(attached) not in (None, len(gpus)) or [*gpus] != list(range(len(gpus)))
    assembled = assemble(Snapshot(nvml=nvml, problems=problems))
    host = replace(assembled.host, hypervisor=any(answer("virtualization") in _OF_GUEST for answer in gpus.values()))
    return replace(assembled, host=host, nvlink_hidden=len(gpus) > 1, unseen=("gpus",) if in_part else ())


def _with_torn(facts: tuple[GpuFacts, ...], torn: Collection[int]) -> tuple[GpuFacts, ...]:
    """A GPU that is torn and says less of its fabric than another one of its product may be torn there."""
    said: dict[str, set[str]] = {}
    for gpu in facts:
        said.setdefault(gpu.name, set()).update(_said(gpu.fabric))
    return tuple(
        replace(gpu, fabric=GpuFabric()) if gpu.index in torn and said[gpu.name] - _said(gpu.fabric) else gpu
        for gpu in facts
    )


def _said(fabric: GpuFabric | None) -> set[str]:
    return set() if fabric is None else {name for name in _OF_FABRIC if getattr(fabric, name) is not None}


def _sound(answer: FieldReader) -> FieldReader:
    """The answers without notes, and without errors that stand in their place: but a fabric with one is not none."""

    def sound(field: str) -> str:
        value = smi_errors.without_note(answer(field))
        return "" if smi_errors.error_in(value) and field != _FABRIC_STATE else value

    return sound


def _error(gpu: GpuFacts, answer: FieldReader) -> Problem | None:
    """The first error that stands in the place of a value of this GPU."""
    error = next((found for field in FIELDS if (found := smi_errors.error_in(answer(field)))), "")
    return smi_errors.problem(gpu.pci_address or f"GPU{gpu.index}", error) if error else None


def _version(text: str) -> str:
    return smi_errors.without_note(text)[:_LONGEST]


def _facts(index: int, answer: FieldReader) -> GpuFacts:
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


def number(text: str) -> int | None:
    """``16x``, ``81559 MiB``, ``0x04`` are not, and ``7`` is a number; None where there is none."""
    match = _NUMBER.fullmatch(text)
    return int(match[1]) if match and not text.startswith("0x") else None


def _times(value: int | None, unit: int) -> int | None:
    return None if value is None else value * unit


def _address(text: str) -> PciAddress | None:
    return parse_pci_address(text) if is_pci_address(text) else None


def _link(answer: FieldReader) -> PcieLink | None:
    link = PcieLink(
        generation=number(answer("generation")),
        width=number(answer("width")),
        max_generation=number(answer("max generation")),
        max_width=number(answer("max width")),
    )
    return None if link == PcieLink() else link


def _fabric(answer: FieldReader) -> GpuFabric | None:
    """The fabric; without a state if the tool's word for it is not known here."""
    if not (said := answer(_FABRIC_STATE)):
        return None
    state, status, health = _STATES.get(said), answer("fabric status"), answer("fabric health")
    return GpuFabric(
        state=state,
        status=None if not status else 0 if status == "Success" else _FAILED,
        cluster_uuid=answer("cluster")[:_LONGEST] or None,
        clique_id=number(answer("clique")),
        health_mask=_health_mask(answer),
        health_summary=_HEALTH.get(health),
        health_not_known=bool(health) and health not in _HEALTH,
    )


def _health_mask(answer: FieldReader) -> int | None:
    """NVML's mask (GPU_FABRIC_HEALTH_MASK) from the fields that the tool makes of it; None where it shows none."""
    mask = 0
    for shift, field in enumerate(("bandwidth", "recovery", "route", "timeout")):
        mask |= _HEALTH_BITS.get(answer(field), 0) << 2 * shift
    configuration = answer("configuration")
    if configuration:
        mask |= (_CONFIGURATION_SOUND if configuration == "None" else _CONFIGURATION_WRONG) << _CONFIGURATION_SHIFT
    return mask or None


def _platform(answer: FieldReader) -> GpuPlatform | None:
    platform = GpuPlatform(
        chassis_serial=answer("chassis")[:_LONGEST] or None,
        slot=number(answer("slot")),
        tray=number(answer("tray")),
        host=number(answer("host")),
        module=number(answer("platform module")),
        fabric_guid=answer("fabric guid")[:_LONGEST] or None,
    )
    return None if platform == GpuPlatform() else platform
