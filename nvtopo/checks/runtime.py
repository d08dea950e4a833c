"""Driver, kernel modules and storage: whether the parts fit each other."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NODE, NOT_NEAR, CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check


def _versions(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus:
        return
    module = machine.snapshot.host.nvidia_module if machine.snapshot is not None and machine.snapshot.host else ""
    library = machine.node.host.driver_version or ""
    if not module or not library:
        yield Unknown(NODE, "the version of the loaded kernel module, or of the library, is not shown")
    elif module != library:
        yield Found(NODE, f"the loaded kernel module is {module}, and the library is {library}")
    else:
        yield Fits()


def _nouveau(machine: Machine) -> Iterator[CheckResult]:
    if not machine.node.gpus and not machine.node.accelerators:
        return
    modules = machine.snapshot.host.gpu_modules if machine.snapshot is not None and machine.snapshot.host else ()
    if not modules:
        yield Unknown(NODE, "the input does not list the loaded kernel modules")
    elif "nouveau" in modules:
        yield Found(NODE, "nouveau is loaded")
    else:
        yield Fits()


def _drives(machine: Machine) -> Iterator[CheckResult]:
    """GPUs on a NUMA node without a drive read through the other socket."""
    wanted = machine.near_gpus
    if not machine.node.nvmes or (wanted is not None and len(wanted) < 2):  # noqa: PLR2004 - all is near
        return
    if wanted is None:
        if machine.node.gpus:
            yield Unknown(NODE, NOT_NEAR)
        return
    found = {nvme.numa_node for nvme in machine.node.nvmes}
    if None in found:
        yield Unknown(NODE, "the firmware states no NUMA node for some drives")
        return
    missing = sorted(wanted - found)
    for numa in missing:
        gpus = ", ".join(gpu.key for gpu in machine.node.gpus if gpu.numa_node == numa)
        yield Found(f"NUMA node {numa}", f"has {gpus} and no NVMe drive")
    if not missing:
        yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "driver-versions-differ",
            "warning",
            "runtime",
            "one version of kernel module and library",
            "Drain the node, then reload the driver or reboot.",
        ),
        "/proc/driver/nvidia/version, nvmlSystemGetDriverVersion",
        "one of the two is not shown",
        _versions,
    ),
    NodeCheck(
        Check(
            "nouveau-loaded",
            "warning",
            "runtime",
            "NVIDIA's driver without nouveau",
            "Blacklist nouveau, rebuild the initramfs, reboot.",
        ),
        "/sys/module",
        "the input is not a capture, or one of an older release",
        _nouveau,
    ),
    NodeCheck(
        Check(
            "nvme-far",
            "info",
            "storage",
            "an NVMe drive on each NUMA node with GPUs",
            "Nothing is to be done if it was built so; place jobs that read much near the drives.",
        ),
        "/sys/class/nvme, /sys/bus/pci/devices/*/numa_node",
        "the firmware states no NUMA node for a drive",
        _drives,
    ),
)
