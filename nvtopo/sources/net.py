"""Network devices: ``/sys/class/net`` of the network namespace that sysfs was mounted in."""

from nvtopo.model.facts import NetDevice, NetFacts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "net"

_CLASS = "/sys/class/net"
_MEGABIT = 1_000_000 // 8


def read(machine: Machine) -> Reading:
    """Every device, virtual ones included: they have no PCI function."""
    reader = SysfsReader(machine.root, NAME)
    devices = []
    for name in reader.names(_CLASS):
        index = reader.integer(f"{_CLASS}/{name}/ifindex")
        if index is not None:  # bonding_masters is a file among the devices; a device may go while we read
            devices.append(_device(reader, name, index))
    return Reading(NetFacts(devices=tuple(devices)) if devices else None, tuple(reader.problems))


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
    )
