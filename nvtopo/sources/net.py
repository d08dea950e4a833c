"""Network devices: ``/sys/class/net`` of the network namespace that sysfs was mounted in."""

from nvtopo.model.facts import NetDevice, NetFacts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "net"

_CLASS = "/sys/class/net"
_MEGABIT = 1_000_000 // 8
_METRIC, _MASK = 6, 7


def read(machine: Machine) -> Reading:
    """Every device, virtual ones included: they have no PCI function."""
    reader = SysfsReader(machine.root, NAME)
    devices = []
    for name in reader.names(_CLASS):
        index = reader.integer(f"{_CLASS}/{name}/ifindex")
        if index is not None:  # bonding_masters is a file among the devices; a device may go while we read
            devices.append(_device(reader, name, index))
    facts = NetFacts(devices=tuple(devices), default_route=_default_route(reader.text("/proc/net/route") or ""))
    return Reading(facts if devices else None, tuple(reader.problems))


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
    )


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
