"""The host, its memory nodes, and how its kubelet places containers."""

from typing import Annotated

from msgspec import Meta

from nvtopo.model.formats import limits
from nvtopo.model.records.record import Bytes, Count, Index, Name, Numbers, Record, ShortWord, Small


class HostFacts(Record, frozen=True, kw_only=True):
    """Facts of the host."""

    name: Name
    """The node's name: ``NODE_NAME`` where Kubernetes sets it, else the host name."""
    architecture: Name = ""
    """``uname -m``."""
    kernel: Name = ""
    """``/proc/sys/kernel/osrelease``."""
    boot_id: Name = ""
    """``/proc/sys/kernel/random/boot_id``: another one means a reboot."""
    uptime_seconds: Count | None = None
    """``/proc/uptime``: since boot, sleep included; a container shows its host's."""
    vendor: Name = ""
    """``/sys/class/dmi/id/sys_vendor``."""
    product: Name = ""
    """``/sys/class/dmi/id/product_name``."""
    hypervisor: bool = False
    """``/proc/cpuinfo`` has the flag ``hypervisor``: the hypervisor invents the PCIe paths."""
    nvidia_module: Name = ""
    """Version of the loaded nvidia kernel module, ``/proc/driver/nvidia/version``."""
    nvidia_open: bool = False
    """Whether that module is the open one, which can export GPU memory as dma-buf."""
    peermem: bool = False
    """Whether nvidia-peermem (or its forerunner nv_peer_mem) is loaded."""
    gpu_modules: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_PORTS)] = ()
    """Which of nvidia, nvidia_uvm, nvidia_fs, gdrdrv and nouveau are loaded, ``/sys/module``."""
    numa_balancing: Small | None = None
    """``/proc/sys/kernel/numa_balancing``: 0 is off."""
    governors: Annotated[tuple[Name, ...], Meta(max_length=limits.MOST_PORTS)] = ()
    """``scaling_governor`` of some ``/sys/devices/system/cpu/cpufreq/policy*``, evenly spread."""


class NumaNode(Record, frozen=True, kw_only=True):
    """One ``/sys/devices/system/node/node<index>``; without CPUs it is memory only, as a Grace GPU's."""

    index: Index
    """The number that the kernel gives it."""
    cpus: Numbers = ""
    """Its CPUs, file ``cpulist``."""
    memory_bytes: Bytes | None = None
    """``meminfo``, MemTotal."""
    hugepages: Annotated[dict[ShortWord, Count], Meta(max_length=limits.MOST_PAGE_SIZES)] = {}
    """``hugepages/hugepages-<size>``: size such as ``1048576kB`` → pages reserved; sizes without any left out."""
    distances: Annotated[tuple[Small, ...], Meta(max_length=limits.MOST_NUMA_NODES)] = ()
    """``distance``: one number for each node of this list, in its order; 10 is the node itself."""


class NumaFacts(Record, frozen=True, kw_only=True):
    """Memory nodes and CPUs."""

    nodes: Annotated[tuple[NumaNode, ...], Meta(max_length=limits.MOST_NUMA_NODES)] = ()
    online_cpus: Numbers = ""
    """``/sys/devices/system/cpu/online``."""
    isolated_cpus: Numbers = ""
    """``/sys/devices/system/cpu/isolated``: taken from the scheduler by ``isolcpus``."""
    allowed_cpus: Numbers = ""
    """``/sys/fs/cgroup/cpuset.cpus.effective``, where it is fewer than those online."""


class KubeletFacts(Record, frozen=True, kw_only=True):
    """The kubelet's resource managers: the policies in force, and those asked for. Absent where that is not known."""

    cpu_manager_policy: Name | None = None
    """``none`` or ``static``."""
    memory_manager_policy: Name | None = None
    """``None`` or ``Static``."""
    topology_manager_policy: Name | None = None
    """``none``, ``best-effort``, ``restricted`` or ``single-numa-node``."""
    topology_manager_scope: Name | None = None
    """``container`` or ``pod``."""
    reserved_cpus: Numbers | None = None
    """CPUs that the static CPU manager gives to no container, ``reservedSystemCPUs``; empty if the kubelet has no such
    list. Absent with another policy, or where it is not known."""
    asked_cpu_manager_policy: Name | None = None
    """What flags and configuration ask for; the running kubelet may have been started before they were changed."""
    asked_memory_manager_policy: Name | None = None
    """As for the CPU manager."""
    asked_topology_manager_policy: Name | None = None
    """As for the CPU manager."""
    asked_topology_manager_scope: Name | None = None
    """As for the CPU manager."""
