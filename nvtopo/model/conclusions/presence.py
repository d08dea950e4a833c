"""Devices on the bus that NVML does not answer for: what each is, and which GPUs should answer and do not.

A GPU that a userspace driver holds was given away on purpose, and so was a display card without the NVIDIA driver. They
are said and not alarmed.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from nvtopo.model.records.node import Accelerator, NodeTopology

#: Drivers that hand a function to a program or a virtual machine.
USERSPACE_DRIVERS: Final = frozenset(
    {"vfio-pci", "nvgrace-gpu-vfio-pci", "nvidia-vgpu-vfio", "uio_pci_generic", "igb_uio", "pci-stub", "xen-pciback"}
)
State = Literal["silent", "withheld", "display", "foreign"]
"""``silent``: it should answer. ``withheld``: a userspace driver holds it. ``display``: a display card without the
NVIDIA driver, beside GPUs of another model. ``foreign``: another vendor's."""

_NVIDIA: Final = "10de"
_VENDORS: Final[Mapping[str, str]] = MappingProxyType({"1002": "AMD", "8086": "Intel", "1da3": "Habana"})
_MODULES_FROM: Final = 1
#: The largest board has sixteen (DGX-2).
_MOST_MODULES: Final = 16


def state(device: Accelerator) -> State:
    """What such a device is."""
    if _vendor(device) != _NVIDIA:
        return "foreign"
    if device.driver in USERSPACE_DRIVERS:
        return "withheld"
    return "display" if device.display else "silent"


def of_state(node: NodeTopology, wanted: State) -> tuple[Accelerator, ...]:
    """The devices of one state, by address."""
    return tuple(device for device in node.accelerators if state(device) == wanted)


def holders(node: NodeTopology) -> dict[str, int]:
    """Userspace driver → how many GPUs it holds."""
    return dict(sorted(Counter(device.driver for device in of_state(node, "withheld")).items()))


def vendors(node: NodeTopology) -> dict[str, int]:
    """Another vendor → how many accelerators of its are there."""
    names = (_VENDORS.get(_vendor(device), _vendor(device)) for device in of_state(node, "foreign"))
    return dict(sorted(Counter(names).items()))


def missing_modules(node: NodeTopology) -> tuple[int, ...]:
    """Places on the board below the highest one in use from which no GPU answers, and none is silent or withheld.

    A card has module 0 or none, and says nothing of others; neither does a guest, which was given some of a board, nor
    a number that no board has, nor an input that shows some of the GPUs.
    """
    if node.host.hypervisor or not node.gpus or "gpus" in node.unseen:
        return ()
    modules = {gpu.module_id for gpu in node.gpus if gpu.module_id is not None}
    if len(modules) != len(node.gpus) or max(modules) > _MOST_MODULES:
        return ()
    holes = sorted(set(range(min(_MODULES_FROM, *modules), max(modules))) - modules)
    known = len(of_state(node, "silent")) + len(of_state(node, "withheld"))
    return tuple(holes) if len(holes) > known else ()


def accounted(node: NodeTopology) -> int:
    """NVIDIA GPUs whose place is known: those that answer, those that do not, and those that are held."""
    return len(node.gpus) + len(of_state(node, "silent")) + len(of_state(node, "withheld"))


def gone(node: NodeTopology) -> int:
    """How many GPUs should be there and are not even on the bus; 0 if the input does not show all GPUs."""
    due = None if node.expected is None or "gpus" in node.unseen else node.expected.gpus
    return 0 if due is None else max(0, due - accounted(node))


def absent(node: NodeTopology) -> tuple[str, ...]:
    """A name for each GPU that is not on the bus: ``module 3`` where the place is known, else ``missing 1``."""
    modules = [f"module {number}" for number in missing_modules(node)]
    return (*modules, *(f"missing {number}" for number in range(1, gone(node) - len(modules) + 1)))


def words(device: Accelerator) -> str:
    """What is to say of one device, for people."""
    match state(device):
        case "silent":
            return "does not answer"
        case "withheld":
            return f"held by {device.driver}"
        case "display":
            return "display card, not read"
        case "foreign":
            return f"{_VENDORS.get(_vendor(device), _vendor(device))}, not read"


def _vendor(device: Accelerator) -> str:
    return device.model.partition(":")[0]
