"""Flow and congestion control of network devices: netlink, and NVIDIA's driver package in ``/sys/class/net/*/ecn``."""

import errno
import os
from functools import partial
from typing import Final

from nvtopo.model.records.facts import NetQos, QosFacts
from nvtopo.sources.guarded import each
from nvtopo.sources.linux import dcb
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "qos"

_CLASS: Final = "/sys/class/net"
_PRIORITIES: Final = 8
_ASK_SECONDS: Final = 1.0
#: Drivers and devices without data center bridging, and devices that have gone meanwhile.
_NOT_THERE: Final = frozenset({errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL})
_MOST_DEVICES: Final = 256


def read(machine: Machine) -> Reading:
    """Devices on a PCI function of which anything is shown; None if there is none. Netlink is asked on a live host."""
    reader = SysfsReader(machine.root, NAME)
    physical = [name for name in reader.names(_CLASS) if reader.pci_function(f"{_CLASS}/{name}") is not None]
    functions = {name: partial(_device, reader, name, live=machine.root.live) for name in physical[:_MOST_DEVICES]}
    found = [
        one for one in each(machine.deadlines, NAME, reader, functions).values() if one != NetQos(netdev=one.netdev)
    ]
    return Reading(QosFacts(devices=tuple(found)) if found else None, tuple(reader.problems))


def _device(reader: SysfsReader, name: str, *, live: bool) -> NetQos:
    told = _told(reader, name) if live else dcb.Dcb()
    return NetQos(
        netdev=name,
        pfc=told.pfc,
        trusts_dscp=told.trusts_dscp,
        buffers_bytes=told.buffers_bytes,
        ecn_notify=_enabled(reader, f"{_CLASS}/{name}/ecn/roce_np/enable"),
        ecn_react=_enabled(reader, f"{_CLASS}/{name}/ecn/roce_rp/enable"),
    )


def _told(reader: SysfsReader, name: str) -> dcb.Dcb:
    try:
        return dcb.ask(name, _ASK_SECONDS)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            reader.problem(name, f"priority flow control: {os.strerror(error.errno) if error.errno else error}")
        return dcb.Dcb()


def _enabled(reader: SysfsReader, folder: str) -> int | None:
    """A bit for each priority that is enabled; None unless all of them are shown."""
    states = [reader.integer(f"{folder}/{priority}") for priority in range(_PRIORITIES)]
    if any(state is None for state in states):
        return None
    return sum(1 << priority for priority, state in enumerate(states) if state)
