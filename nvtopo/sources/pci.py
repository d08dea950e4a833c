"""The PCI tree: ``/sys/bus/pci/devices``. The path of each function is where sysfs nests it, root first."""

from msgspec.structs import replace

from nvtopo.model import config_space
from nvtopo.model.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.facts import PciDevice, PcieLink, PciFacts
from nvtopo.model.nics import DATA_DIRECT_CLASS, MELLANOX, is_data_direct
from nvtopo.model.pcie import generation
from nvtopo.model.vital_product_data import keyword
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "pci"

_DEVICES = "/sys/bus/pci/devices"
_BRIDGE = "0x0604"
_NETWORK = "0x02"
_ADAPTER = "V3"
#: Network controllers, display controllers (GPUs among them), and what a ConnectX-8 reads GPU memory through.
_ENDPOINTS = ("0x02", "0x03", "0x0801")


def read(machine: Machine) -> Reading:
    """Every function on the bus; None where the machine has no PCI."""
    reader = SysfsReader(machine.root, NAME)
    names = [name for name in reader.names(_DEVICES) if is_pci_address(name)]
    devices = _paired(reader, tuple(_device(reader, parse_pci_address(name)) for name in names))
    return Reading(PciFacts(devices=devices) if devices else None, tuple(reader.problems))


def _device(reader: SysfsReader, address: PciAddress) -> PciDevice:
    path = f"{_DEVICES}/{address}"
    physfn = reader.basename(f"{path}/physfn")
    code = reader.text(f"{path}/class") or ""
    group = reader.basename(f"{path}/iommu_group") or ""
    config = _extended_config(reader, path) if code.startswith((_BRIDGE, *_ENDPOINTS)) else None
    return PciDevice(
        address=address,
        path=nested_path(reader.target(path) or ""),
        class_code=code,
        vendor=reader.text(f"{path}/vendor") or "",
        device=reader.text(f"{path}/device") or "",
        driver=reader.basename(f"{path}/driver") or "",
        numa_node=reader.integer(f"{path}/numa_node"),
        local_cpus=reader.text(f"{path}/local_cpulist") or "",
        link=_link(reader, path),
        physfn=parse_pci_address(physfn) if physfn and is_pci_address(physfn) else None,
        iommu_group=group,
        iommu_type=_iommu_type(reader, group) if code.startswith(_ENDPOINTS) else "",
        acs=None if config is None else config_space.acs_control(config) or 0,
        ats=None if config is None else config_space.ats_enabled(config),
    )


def _paired(reader: SysfsReader, devices: tuple[PciDevice, ...]) -> tuple[PciDevice, ...]:
    """The devices, with the mark that pairs a NIC with its data direct function where there are such functions.

    Only there is the vital product data read: each byte of it is a slow access to the device.
    """
    if not any(is_data_direct(device) for device in devices):
        return devices
    return tuple(
        replace(device, adapter=keyword(reader.content(f"{_DEVICES}/{device.address}/vpd") or b"", _ADAPTER))
        if device.vendor == MELLANOX and device.class_code.startswith((_NETWORK, DATA_DIRECT_CLASS))
        else device
        for device in devices
    )


def nested_path(target: str) -> str:
    """``pci0000:15/0000:15:01.0`` from ``../../../devices/pci0000:15/0000:15:01.0/0000:16:00.0``.

    What stands before the root bridge (``platform/LNRO0015:00/`` on Arm) says nothing about distance and is dropped.
    """
    _, _, below = target.partition("devices/")
    components = below.split("/")[:-1]
    while components and not components[0].startswith("pci"):
        components.pop(0)
    return "/".join(components)


def _extended_config(reader: SysfsReader, path: str) -> bytes | None:
    """The function's configuration space, if it is all there: without CAP_SYS_ADMIN the kernel gives 64 bytes."""
    config = reader.content(f"{path}/config")
    return config if config is not None and len(config) > config_space.CONVENTIONAL_BYTES else None


def _iommu_type(reader: SysfsReader, group: str) -> str:
    return reader.text(f"/sys/kernel/iommu_groups/{group}/type") or "" if group else ""


def _link(reader: SysfsReader, path: str) -> PcieLink | None:
    """The function's link; conventional PCI functions have no such files."""
    speed = reader.text(f"{path}/current_link_speed")
    if speed is None:
        return None
    return PcieLink(
        generation=generation(speed),
        width=_lanes(reader, f"{path}/current_link_width"),
        max_generation=generation(reader.text(f"{path}/max_link_speed") or ""),
        max_width=_lanes(reader, f"{path}/max_link_width"),
    )


def _lanes(reader: SysfsReader, path: str) -> int | None:
    """A link width; the kernel says 0 or 255 where the function does not know one."""
    width = reader.integer(path)
    return None if width in (0, 255) else width
