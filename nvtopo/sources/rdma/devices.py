"""RDMA devices: ``/sys/class/infiniband``, and verbs for the facts that sysfs lacks.

Counters are not read here: on a GPU board's management functions that would flood the kernel log. Their VPD or the
firmware's board id identifies these functions, and they are left alone.
"""

import errno
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from msgspec.structs import replace

from nvtopo.model.records.facts import GidEntry, RdmaDevice, RdmaFacts, RdmaPort
from nvtopo.sources.guarded import each
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

if TYPE_CHECKING:
    from nvtopo.sources.rdma.verbs import VerbsBackend

NAME = "rdma"

_CLASS = "/sys/class/infiniband"
_VERBS_CLASS = "/sys/class/infiniband_verbs"
_NET_CLASS = "/sys/class/net"
_DEVICE_FILES = "/dev/infiniband"
_RATE = r"(\d+(?:\.\d+)?) Gb/sec"
#: What a port without a link has, in the kernel's spelling: a state, and nothing that can't be read.
_NO_RATE = r"0+(?:\.0+)? G[bB]/sec"
_GIGABIT = 1_000_000_000 // 8
_EMPTY_GID = "0000:0000:0000:0000:0000:0000:0000:0000"
#: How the vital product data describes a ConnectX that manages the board's NVSwitches.
_SWITCH_MANAGEMENT = b"SMDL=SW_MNG"
#: The same boards by their firmware's board id (PSID), which everybody may read; VPD takes root. PCI vendor, device and
#: place are those of a NIC. B200 and B300, as seen on such machines; a board that is not listed takes its VPD.
_SWITCH_MANAGEMENT_BOARDS = frozenset({"MT_0000001121", "NVD0000000079"})


def read(machine: Machine) -> Reading:
    """Every RDMA device; None if the kernel has none."""
    reader = SysfsReader(machine.root, NAME)
    devices = _devices(machine, reader)
    if devices and machine.root.live:
        devices = _asked(reader, devices)
    return Reading(RdmaFacts(devices=devices) if devices else None, tuple(reader.problems))


def _devices(machine: Machine, reader: SysfsReader) -> tuple[RdmaDevice, ...]:
    """The devices. Verbs skip a device that hangs in sysfs: pyverbs would block the interpreter and all threads."""
    functions = {name: partial(_device, reader, name) for name in reader.names(_CLASS)}
    return _with_siblings(tuple(each(machine.deadlines, NAME, reader, functions).values()))


def _with_siblings(devices: tuple[RdmaDevice, ...]) -> tuple[RdmaDevice, ...]:
    """The devices; what one function of a PCI device says of its board is so of its other functions."""
    boards = {_slot(device) for device in devices if device.management and device.pci_address}
    return tuple(
        replace(device, management=True, ports=()) if device.pci_address and _slot(device) in boards else device
        for device in devices
    )


def _slot(device: RdmaDevice) -> str:
    """Domain, bus and device of its PCI address, without the function."""
    return (device.pci_address or "").rpartition(".")[0]


def _manages_switches(reader: SysfsReader, path: str) -> bool:
    if reader.text(f"{path}/board_id") in _SWITCH_MANAGEMENT_BOARDS:
        return True
    return _SWITCH_MANAGEMENT in (reader.content(f"{path}/device/vpd") or b"")


def _device(reader: SysfsReader, name: str) -> RdmaDevice:
    path = f"{_CLASS}/{name}"
    management = _manages_switches(reader, path)
    parent = reader.text(f"{path}/parent")
    return RdmaDevice(
        name=name,
        pci_address=(
            reader.pci_function(path)
            or reader.pci_function(f"{path}/device")
            or (reader.pci_function(f"{_NET_CLASS}/{parent}") if parent else None)
        ),
        node_guid=reader.text(f"{path}/node_guid") or "",
        firmware=reader.text(f"{path}/fw_ver") or "",
        psid=reader.text(f"{path}/board_id") or "",
        netdevs=(parent,) if parent else tuple(reader.names(f"{path}/device/net")),
        ports=() if management else _ports(reader, path),
        management=management,
    )


def _asked(reader: SysfsReader, devices: tuple[RdmaDevice, ...]) -> tuple[RdmaDevice, ...]:
    """The devices with the facts that verbs add, if this process has their device files."""
    files = {reader.text(f"{_VERBS_CLASS}/{name}/ibdev"): name for name in reader.names(_VERBS_CLASS)}
    ready = {device.name for device in devices if device.ports and _opens(reader, device.name, files)}
    if not ready:
        return devices
    from nvtopo.sources.rdma import verbs

    backend = verbs.backend()
    if backend is None:
        return devices
    return tuple(
        replace(device, ports=tuple(_by_verbs(reader, backend, device, port) for port in device.ports))
        if device.name in ready
        else device
        for device in devices
    )


def _opens(reader: SysfsReader, device: str, files: dict[str | None, str]) -> bool:
    """Whether the device's file exists and can be opened. libibverbs would wait seconds for a missing file.

    A container without any device file gives no problem.
    """
    path = f"{_DEVICE_FILES}/{files.get(device)}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR) and _still_there(reader, device):
            reader.problem(path, os.strerror(error.errno or 0))
        return False
    try:
        number = os.fstat(descriptor).st_rdev
    finally:
        os.close(descriptor)
    found, expected = f"{os.major(number)}:{os.minor(number)}", reader.text(f"{_VERBS_CLASS}/{files[device]}/dev")
    if expected is not None and found != expected:
        reader.problem(path, f"is device {found}, and {device} is {expected}")
    return expected in (None, found)


def _still_there(reader: SysfsReader, device: str) -> bool:
    """Whether the device still exists. If it was unplugged meanwhile, a failure to reach it is no problem."""
    return reader.target(f"{_CLASS}/{device}") is not None


def _by_verbs(reader: SysfsReader, backend: "VerbsBackend", device: RdmaDevice, port: RdmaPort) -> RdmaPort:
    from nvtopo.sources.rdma.verbs import VerbsError

    try:
        answer = backend.port(device.name, port.number)
    except VerbsError as error:
        if _still_there(reader, device.name):
            reader.problem(f"{device.name}/{port.number}", f"verbs: {error}")
        return port
    return replace(port, active_mtu_bytes=answer.active_mtu_bytes)


def _ports(reader: SysfsReader, path: str) -> tuple[RdmaPort, ...]:
    numbers = sorted(int(name) for name in reader.names(f"{path}/ports") if name.isdecimal())
    return tuple(_port(reader, f"{path}/ports/{number}", number) for number in numbers)


def _port(reader: SysfsReader, path: str, number: int) -> RdmaPort:
    return RdmaPort(
        number=number,
        state=word(reader.text(f"{path}/state")),
        physical_state=word(reader.text(f"{path}/phys_state")),
        link_layer=_link_layer(reader.text(f"{path}/link_layer")),
        rate_bytes_per_second=rate(reader, f"{path}/rate"),
        gids=_gids(reader, path),
    )


def _link_layer(text: str | None) -> str:
    """``InfiniBand`` or ``Ethernet``; empty for other link layers such as EFA's, which the kernel calls ``Unknown``."""
    return text if text in ("InfiniBand", "Ethernet") else ""


def word(text: str | None) -> str:
    """``ACTIVE`` from ``4: ACTIVE``; empty for a number that the kernel has no name of, which it calls ``UNKNOWN``."""
    found = (text or "").partition(": ")[2]
    return "" if found.strip("<>").upper() == "UNKNOWN" else found


def rate(reader: SysfsReader, path: str) -> int | None:
    """Bytes per second from ``400 Gb/sec (4X NDR)``; None if the port has none now (``0 GB/sec``)."""
    text = reader.text(path)
    if not text or re.match(_NO_RATE, text):
        return None
    match = re.match(_RATE, text)
    if match is None:
        reader.problem(path, f"expected '<n> Gb/sec …', got {text[:40]!r}")
        return None
    return round(float(match[1]) * _GIGABIT)


def _gids(reader: SysfsReader, path: str) -> tuple[GidEntry, ...]:
    """The filled rows of the GID table; an empty row's type and netdev give EINVAL by design."""
    indices = sorted(int(name) for name in reader.names(f"{path}/gids") if name.isdecimal())
    entries = []
    for index in indices:
        gid = reader.text(f"{path}/gids/{index}")
        if gid and gid != _EMPTY_GID:
            entries.append(_gid(reader, path, index, gid))
    return tuple(entries)


def _gid(reader: SysfsReader, path: str, index: int, gid: str) -> GidEntry:
    kind = reader.text(f"{path}/gid_attrs/types/{index}")
    known = cast("Literal['IB/RoCE v1', 'RoCE v2']", kind) if kind in ("IB/RoCE v1", "RoCE v2") else None
    return GidEntry(index=index, gid=gid, type=known, netdev=reader.text(f"{path}/gid_attrs/ndevs/{index}") or None)
