"""Network devices: ``/sys/class/net`` of the network namespace that sysfs was mounted in."""

import re
from functools import partial

from nvtopo.model.records.facts import NetDevice, NetFacts
from nvtopo.sources.guarded import each
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "net"

_CLASS = "/sys/class/net"
_MEGABIT = 1_000_000 // 8
_METRIC, _MASK = 6, 7
_LOWER = "lower_"
#: How the kernel names the port of a representor: of a host's physical function, of a virtual one, of a sub-function;
#: ``c1`` is the controller, where there are several. An uplink is ``p0``.
_REPRESENTOR = r"(?:c\d+)?pf\d+(?:hpf|vf\d+|sf\d+)?"
_IPV6_COLUMNS = 10
_IPV6_UNSPECIFIED = "0" * 32
#: RTF_REJECT, include/uapi/linux/route.h: the kernel's own "unreachable" routes of the loopback device.
_REJECT = 0x200


def read(machine: Machine) -> Reading:
    """Every device, virtual ones included: they have no PCI function."""
    reader = SysfsReader(machine.root, NAME)
    functions = {name: partial(_present, reader, name) for name in reader.names(_CLASS)}
    found = each(machine.deadlines, NAME, reader, functions).values()
    devices = tuple(device for device in found if device is not None)
    facts = NetFacts(
        devices=devices,
        default_route=_default_route(reader.text("/proc/net/route") or ""),
        default_route_ipv6=_default_route_ipv6(reader.text("/proc/net/ipv6_route") or ""),
    )
    return Reading(facts if devices else None, tuple(reader.problems))


def _present(reader: SysfsReader, name: str) -> NetDevice | None:
    """The device. bonding_masters is a file among the devices, and a device may disappear meanwhile."""
    index = reader.integer(f"{_CLASS}/{name}/ifindex")
    return None if index is None else _device(reader, name, index)


def _device(reader: SysfsReader, name: str, index: int) -> NetDevice:
    path = f"{_CLASS}/{name}"
    megabits = reader.integer(f"{path}/speed")
    return NetDevice(
        name=name,
        index=index,
        mtu_bytes=reader.integer(f"{path}/mtu"),
        operstate=reader.text(f"{path}/operstate") or "",
        speed_bytes_per_second=megabits * _MEGABIT if megabits else None,
        pci_address=reader.pci_function(path),
        master=reader.basename(f"{path}/master"),
        kind=_kind(reader.text(f"{path}/uevent") or ""),
        represents=_represented(reader, path),
        eswitch_mode=reader.text(f"{path}/compat/devlink/mode") or "",
        lower=tuple(entry.removeprefix(_LOWER) for entry in reader.names(path) if entry.startswith(_LOWER)),
    )


def _represented(reader: SysfsReader, path: str) -> str:
    """The port that a representor stands for. Only ports of an embedded switch have a switch id."""
    if not reader.text(f"{path}/phys_switch_id"):
        return ""
    name = reader.text(f"{path}/phys_port_name") or ""
    return name if re.fullmatch(_REPRESENTOR, name) else ""


def _kind(uevent: str) -> str:
    """``bond`` from a uevent's ``DEVTYPE=bond``."""
    return next((line.partition("=")[2] for line in uevent.splitlines() if line.startswith("DEVTYPE=")), "")


def _default_route(table: str) -> str | None:
    """The device of the default route with the least metric in ``/proc/net/route``.

    Columns: Iface Destination Gateway Flags RefCnt Use Metric Mask …; destination and mask are hexadecimal.
    """
    routes = [line.split() for line in table.splitlines()[1:]]
    default = [
        (int(route[_METRIC]), route[0])
        for route in routes
        if len(route) > _MASK and route[1] == route[_MASK] == "00000000" and route[_METRIC].isdecimal()
    ]
    return min(default)[1] if default else None


def _default_route_ipv6(table: str) -> str | None:
    """The device of the default route with the least metric in ``/proc/net/ipv6_route``.

    Columns: destination, its prefix length, source, its prefix length, next hop, metric, references, uses, flags,
    device; all numbers are hexadecimal.
    """
    routes = (line.split() for line in table.splitlines())
    default = [
        (int(route[5], 16), route[9])
        for route in routes
        if len(route) == _IPV6_COLUMNS and route[0] == _IPV6_UNSPECIFIED and route[1] == "00" and _forwards(route)
    ]
    return min(default)[1] if default else None


def _forwards(route: list[str]) -> bool:
    try:
        return not int(route[8], 16) & _REJECT and int(route[5], 16) >= 0
    except ValueError:
        return False
