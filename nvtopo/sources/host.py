"""What the host says of itself: kernel, firmware names, boot, hypervisor, loaded NVIDIA kernel module."""

import os
import re

from nvtopo.model.facts import HostFacts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "host"

_MODULE_VERSION = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)")

#: What NCCL looks for before it registers GPU memory with a NIC; the module under its present name first.
_PEERMEM = (
    "/sys/module/nvidia_peermem/version",
    "/sys/kernel/mm/memory_peers/nv_mem/version",
    "/sys/kernel/mm/memory_peers/nv_mem_nc/version",
)


def read(machine: Machine) -> Reading:
    """``/proc``: ``sys/kernel``, ``uptime``, ``cpuinfo``, ``driver/nvidia/version``; ``/sys/class/dmi/id``; peermem."""
    reader = SysfsReader(machine.root, NAME)
    driver = reader.text("/proc/driver/nvidia/version") or ""
    facts = HostFacts(
        name=name_of(machine),
        architecture=_architecture(reader),
        kernel=reader.text("/proc/sys/kernel/osrelease") or "",
        boot_id=reader.text("/proc/sys/kernel/random/boot_id") or "",
        uptime_seconds=_uptime(reader),
        vendor=reader.text("/sys/class/dmi/id/sys_vendor") or "",
        product=reader.text("/sys/class/dmi/id/product_name") or "",
        hypervisor=_hypervisor(reader),
        nvidia_module=_module_version(driver),
        nvidia_open="Open Kernel Module" in driver,
        peermem=any(reader.text(path) is not None for path in _PEERMEM),
    )
    return Reading(facts, tuple(reader.problems))


def name_of(machine: Machine) -> str:
    """What the node is called: as Kubernetes says, else as the host does."""
    host = SysfsReader(machine.root, NAME).text("/proc/sys/kernel/hostname")
    return machine.node_name or host or os.uname().nodename


def _uptime(reader: SysfsReader) -> int | None:
    """Whole seconds of ``12.34 56.78``, of which the second is idle time."""
    seconds = (reader.text("/proc/uptime") or "").partition(".")[0]
    return int(seconds) if seconds.isdecimal() else None


def _hypervisor(reader: SysfsReader) -> bool:
    """The flag of the first CPU, which is in the first piece: the kernel asks each CPU that is read for its clock."""
    cpuinfo = reader.content("/proc/cpuinfo", head=True) or b""
    return b" hypervisor" in cpuinfo.partition(b"\n\n")[0]


def _architecture(reader: SysfsReader) -> str:
    """``/proc/sys/kernel/arch`` (Linux 6.1 and newer), else what this process runs on."""
    return reader.text("/proc/sys/kernel/arch") or os.uname().machine


def _module_version(text: str) -> str:
    """The version in ``NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.105.08  …``; empty where there is none."""
    match = _MODULE_VERSION.search(text)
    return match[1] if match else ""
