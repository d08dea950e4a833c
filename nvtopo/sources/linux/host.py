"""Facts of the host: kernel, firmware names, boot time, hypervisor, loaded NVIDIA kernel module."""

import os
import re

from nvtopo.model.records.facts import HostFacts
from nvtopo.sources.machine import Machine, Reading
from nvtopo.sources.sysfs import SysfsReader

NAME = "host"

_MODULE_VERSION = r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)"

#: Directories that NCCL checks before it registers GPU memory with a NIC; the module's current name first.
_PEERMEM = (
    "/sys/module/nvidia_peermem/version",
    "/sys/kernel/mm/memory_peers/nv_mem/version",
    "/sys/kernel/mm/memory_peers/nv_mem_nc/version",
)
_GPU_MODULES = ("gdrdrv", "nouveau", "nvidia", "nvidia_fs", "nvidia_uvm")
_DMI = "/sys/class/dmi/id"
#: How QEMU, VMware, Hyper-V and Xen call their machines, and clouds theirs; ``.metal`` of EC2 is none.
_GUEST = r"\b(?:QEMU|KVM|VMware|Xen|OpenStack|Virtual Machine|Google Compute Engine)\b|Amazon EC2 (?!\S*\.metal)"
_POLICIES = "/sys/devices/system/cpu/cpufreq"
#: A machine has a policy for each of hundreds of CPUs, and one governor is set for all.
_MOST_GOVERNORS = 8


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
        vendor=reader.text(f"{_DMI}/sys_vendor") or "",
        product=reader.text(f"{_DMI}/product_name") or "",
        hypervisor=_hypervisor(reader),
        nvidia_module=_module_version(driver),
        nvidia_open="Open Kernel Module" in driver,
        peermem=any(reader.text(path) is not None for path in _PEERMEM),
        gpu_modules=tuple(name for name in _GPU_MODULES if reader.names(f"/sys/module/{name}")),
        numa_balancing=reader.integer("/proc/sys/kernel/numa_balancing"),
        governors=_governors(reader),
    )
    return Reading(facts, tuple(reader.problems))


def name_of(machine: Machine) -> str:
    """The node's name in Kubernetes, else the host name."""
    host = SysfsReader(machine.root, NAME).text("/proc/sys/kernel/hostname")
    return machine.node_name or host or os.uname().nodename


def _governors(reader: SysfsReader) -> tuple[str, ...]:
    """The governors of at most eight policies, evenly spread over all."""
    policies = sorted(name for name in reader.names(_POLICIES) if name.startswith("policy"))
    chosen = policies[:: -(-len(policies) // _MOST_GOVERNORS) or 1]
    found = (reader.text(f"{_POLICIES}/{name}/scaling_governor") for name in chosen)
    return tuple(name for name in found if name)


def _uptime(reader: SysfsReader) -> int | None:
    """Whole seconds of ``12.34 56.78``, of which the second is idle time."""
    seconds = (reader.text("/proc/uptime") or "").partition(".")[0]
    return int(seconds) if seconds.isdecimal() else None


def _hypervisor(reader: SysfsReader) -> bool:
    """Whether the first CPU has the flag. Reads only the first piece: the kernel queries the clock of each CPU read.

    Only x86 has that flag; elsewhere the firmware's names tell.
    """
    cpuinfo = reader.content("/proc/cpuinfo", head=True) or b""
    if b"\nflags" in cpuinfo or cpuinfo.startswith(b"flags"):
        return b" hypervisor" in cpuinfo.partition(b"\n\n")[0]
    names = (reader.text(f"{_DMI}/{name}") or "" for name in ("sys_vendor", "product_name"))
    return re.search(_GUEST, " ".join(names)) is not None


def _architecture(reader: SysfsReader) -> str:
    """``/proc/sys/kernel/arch`` (Linux 6.1 and newer), else the architecture of this process."""
    return reader.text("/proc/sys/kernel/arch") or os.uname().machine


def _module_version(text: str) -> str:
    """The version in ``NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.105.08  …``; empty if there is none."""
    match = re.search(_MODULE_VERSION, text)
    return match[1] if match else ""
