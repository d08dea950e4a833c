"""The PCI tree: ``/sys/bus/pci/devices``. A function's path is the bridges above it, root first, as in sysfs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from msgspec.structs import replace

from nvtopo.model.conclusions.nics import DATA_DIRECT_CLASS, MELLANOX, is_data_direct
from nvtopo.model.conclusions.pcie import generation
from nvtopo.model.formats import config_space
from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.formats.vital_product_data import keyword
from nvtopo.model.records.facts import PciDevice, PcieLink, PciFacts
from nvtopo.sources.guarded import each
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

T = TypeVar("T")

NAME = "pci"

_DEVICES = "/sys/bus/pci/devices"
#: A tree without it, as archives may be, does not show which function has network devices.
_NET_CLASS = "/sys/class/net"
_BRIDGE = "0x0604"
_NETWORK = "0x02"
_ADAPTER = "V3"
_DEVICE_FOLDERS = ("net", "infiniband")
#: Network and display controllers (including GPUs), and the functions through which a ConnectX-8 reads GPU memory.
_ENDPOINTS = ("0x02", "0x03", "0x0801")


class _Ask(Protocol):
    """Calls functions of devices, each within the deadline."""

    def __call__(self, functions: Mapping[str, Callable[[], T]], /) -> dict[str, T]:
        """Subject → what its function returned; those that hang are left out."""


def read(machine: Machine) -> Reading:
    """Every function on the bus; None if the machine has no PCI."""
    reader = SysfsReader(machine.root, NAME)
    names = [name for name in reader.names(_DEVICES) if is_pci_address(name)]
    ask = partial(each, machine.deadlines, NAME, reader)
    known = ask({name: partial(_device, reader, parse_pci_address(name)) for name in names})
    asked = ask({f"{name}/config": partial(_asked, reader, device) for name, device in known.items()})
    found = (
        asked.get(f"{name}/config") or known.get(name) or _in_place(reader, parse_pci_address(name)) for name in names
    )
    devices = _paired(ask, reader, tuple(found))
    return Reading(PciFacts(devices=devices) if devices else None, tuple(reader.problems))


def _device(reader: SysfsReader, address: PciAddress) -> PciDevice:
    """What the kernel keeps of a function, so that reading it asks no device."""
    path = f"{_DEVICES}/{address}"
    code = reader.text(f"{path}/class") or ""
    physfn = _physfn(reader, path)
    shown = code.startswith(_NETWORK) and bool(reader.names(_NET_CLASS))
    folders = _device_folders(reader, path) if shown else None
    group = reader.basename(f"{path}/iommu_group") or ""
    return PciDevice(
        address=address,
        path=nested_path(reader.target(path) or ""),
        class_code=code,
        vendor=reader.text(f"{path}/vendor") or "",
        device=reader.text(f"{path}/device") or "",
        driver=reader.basename(f"{path}/driver") or "",
        numa_node=reader.integer(f"{path}/numa_node"),
        local_cpus=reader.text(f"{path}/local_cpulist") or "",
        physfn=physfn,
        iommu_group=group,
        iommu_type=_iommu_type(reader, group) if code.startswith(_ENDPOINTS) else "",
        no_devices=physfn is None and folders == {},
        netdevs_elsewhere=folders is not None and not all(folders.values()),
    )


def _asked(reader: SysfsReader, device: PciDevice) -> PciDevice:
    """With what is read from the function itself: its link, and its configuration space."""
    path = f"{_DEVICES}/{device.address}"
    config = _extended_config(reader, path) if device.class_code.startswith((_BRIDGE, *_ENDPOINTS)) else None
    return replace(
        device,
        link=_link(reader, path),
        acs=None if config is None else config_space.acs_control(config) or 0,
        ats=None if config is None else config_space.ats_enabled(config),
        relaxed_ordering=(
            config_space.relaxed_ordering(config)
            if config is not None and device.class_code.startswith(_NETWORK)
            else None
        ),
    )


def _in_place(reader: SysfsReader, address: PciAddress) -> PciDevice:
    """A function whose files hang: it exists, and where. Links in sysfs ask no device."""
    path = f"{_DEVICES}/{address}"
    return PciDevice(address=address, path=nested_path(reader.target(path) or ""), physfn=_physfn(reader, path))


def _physfn(reader: SysfsReader, path: str) -> PciAddress | None:
    name = reader.basename(f"{path}/physfn")
    return parse_pci_address(name) if name and is_pci_address(name) else None


def _paired(ask: _Ask, reader: SysfsReader, devices: tuple[PciDevice, ...]) -> tuple[PciDevice, ...]:
    """The devices; if there are data direct functions, with the mark that pairs each with its NIC.

    Vital product data is read only then, because each byte of it is a slow access to the device.
    """
    if not any(is_data_direct(device) for device in devices):
        return devices
    adapters = ask(
        {
            f"{device.address}/vpd": partial(_adapter, reader, device)
            for device in devices
            if device.vendor == MELLANOX and device.class_code.startswith((_NETWORK, DATA_DIRECT_CLASS))
        }
    )
    return tuple(replace(device, adapter=adapters.get(f"{device.address}/vpd", "")) for device in devices)


def _adapter(reader: SysfsReader, device: PciDevice) -> str:
    return keyword(reader.content(f"{_DEVICES}/{device.address}/vpd") or b"", _ADAPTER)


def nested_path(target: str) -> str:
    """``pci0000:15/0000:15:01.0`` from ``../../../devices/pci0000:15/0000:15:01.0/0000:16:00.0``.

    The part before the root bridge (``platform/LNRO0015:00/`` on Arm) has no meaning for distances and is dropped.
    """
    _, _, below = target.partition("devices/")
    components = below.split("/")[:-1]
    while components and not components[0].startswith("pci"):
        components.pop(0)
    return "/".join(components)


def _extended_config(reader: SysfsReader, path: str) -> bytes | None:
    """The function's whole configuration space; None without CAP_SYS_ADMIN, when the kernel returns only 64 bytes."""
    config = reader.content(f"{path}/config")
    return config if config is not None and len(config) > config_space.CONVENTIONAL_BYTES else None


def _device_folders(reader: SysfsReader, path: str) -> dict[str, bool] | None:
    """The folders of a function's network and RDMA devices → whether there is one; None if that can't be read.

    sysfs keeps the folder of devices that another network namespace owns, and hides them. The devices of a virtio
    function are one level below: its folder ``virtio3`` is as good as one.
    """
    names = reader.names(path)
    if not names:
        return None
    found = {name: bool(reader.names(f"{path}/{name}")) for name in _DEVICE_FOLDERS if name in names}
    return found | {name: True for name in names if name.startswith("virtio")}


def _iommu_type(reader: SysfsReader, group: str) -> str:
    return reader.text(f"/sys/kernel/iommu_groups/{group}/type") or "" if group else ""


def _link(reader: SysfsReader, path: str) -> PcieLink | None:
    """The function's link; None for conventional PCI functions, which have no such files."""
    denied = len(reader.problems)
    speed = reader.text(f"{path}/current_link_speed")
    if speed is None and len(reader.problems) == denied:
        return None
    return PcieLink(
        generation=generation(speed or ""),
        width=_lanes(reader, f"{path}/current_link_width"),
        max_generation=generation(reader.text(f"{path}/max_link_speed") or ""),
        max_width=_lanes(reader, f"{path}/max_link_width"),
    )


def _lanes(reader: SysfsReader, path: str) -> int | None:
    """A link width in lanes; None if the function does not know it, which the kernel shows as 0 or 255."""
    width = reader.integer(path)
    return None if width in (0, 255) else width
