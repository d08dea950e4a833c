"""Whether a node shows what a reason of health is about.

What is not shown does not pass; what the machine does not have is not judged.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from nvtopo.checks import policy
from nvtopo.checks.check import Machine, UnknowableError
from nvtopo.model.conclusions import nvlink, presence
from nvtopo.model.conclusions.health_kinds import Code
from nvtopo.model.records.node import NodeTopology

Absent = Literal["absent"]
#: The node has nothing that the reason could be about.
ABSENT: Final[Absent] = "absent"

Shown = str | Absent | None
"""Why it is not known; absent; or None if it is shown."""

_NOT_SHOWN: Final = "the input does not show it"
_NO_ANSWER: Final = "no GPU answers"


def of(machine: Machine, code: Code) -> Shown:
    """Whether the node shows what a reason that it has not got would be about."""
    stated = _STATED.get(code)
    if stated is not None and getattr(machine.node.expected, stated) is None:
        return ABSENT
    about = _ABOUT.get(code)
    if about is not None and (found := about(machine)) is not None:
        return found
    return next((f"its {one.what} is not shown" for one in policy.hidden(machine) if one.code == code), None)


def _gpus(machine: Machine) -> Shown:
    """GPUs that answer."""
    node = machine.node
    if node.gpus:
        return None
    due = node.unseen or nvlink.unanswered(node) or presence.of_state(node, "silent") or presence.absent(node)
    return _NO_ANSWER if due or _has(machine, "no-gpu-answers", "facts-unread") else ABSENT


def _health(machine: Machine) -> Shown:
    """What only the driver says of GPUs."""
    return _gpus(machine) or (_NOT_SHOWN if "health" in machine.node.unseen else None)


def _driver(machine: Machine) -> Shown:
    """Whether it answers: known of a machine with GPUs, whether it does or not."""
    return _NOT_SHOWN if "health" in machine.node.unseen else None if _due(machine.node) else ABSENT


def _due(node: NodeTopology) -> bool:
    return bool(node.gpus or node.accelerators or node.problems)


def _pairs(machine: Machine) -> Shown:
    return _health(machine) or (ABSENT if len(machine.node.gpus) == 1 else None)


def _fabric(machine: Machine) -> Shown:
    """The fabric: GPUs without NVSwitches have none."""
    if (due := _fabric_due(machine)) is not None or any(gpu.fabric is not None for gpu in machine.node.gpus):
        return due
    return ABSENT


def _fabric_due(machine: Machine) -> Shown:
    """What the driver says of a fabric, that there is none included."""
    if (gpus := _gpus(machine)) is not None or any(gpu.fabric is not None for gpu in machine.node.gpus):
        return gpus
    return _NOT_SHOWN if "health" in machine.node.unseen else None


def _any_gpu(machine: Machine) -> Shown:
    """Whether there is a GPU."""
    node = machine.node
    return "the input does not show GPUs" if not node.gpus and "gpus" in node.unseen else None


def _every_gpu(machine: Machine) -> Shown:
    """All GPUs."""
    return "the input does not show all GPUs" if "gpus" in machine.node.unseen else None


def _lanes(machine: Machine) -> Shown:
    """PCIe links of GPUs and NICs."""
    node = machine.node
    if any(gpu.link is not None for gpu in node.gpus) or any(nic.link is not None for nic in node.nics):
        return None
    return _NOT_SHOWN if node.unseen else ABSENT


def _links(machine: Machine) -> Shown:
    """The state of NVLinks."""
    if (gpus := _gpus(machine)) is not None:
        return gpus
    if machine.node.nvlink_hidden or _has(machine, "nvlinks-hidden"):
        return "its NVLinks are not shown"
    return "its NVLinks are not known" if _has(machine, "nvlinks-unknown", "nvlinks-training") else None


def _peers(machine: Machine) -> Shown:
    """What the driver says of peer access over NVLinks."""
    if (links := _links(machine)) is not None:
        return links
    if len(machine.node.gpus) == 1:
        return ABSENT
    return "peer access is not known" if _has(machine, "nvlink-p2p-unknown") else None


def _modules(machine: Machine) -> Shown:
    if (gpus := _gpus(machine)) is not None:
        return gpus
    if any(gpu.module_id is not None for gpu in machine.node.gpus):
        return None
    return _NOT_SHOWN if machine.node.unseen else ABSENT


def _bus(machine: Machine) -> Shown:
    """The functions on the PCI bus."""
    node = machine.node
    return _NOT_SHOWN if node.unseen and not node.pci else None


def _rails(machine: Machine) -> Shown:
    try:
        rails = machine.all_rails
    except UnknowableError as error:
        return str(error)
    return None if rails else ABSENT


def _ports(machine: Machine) -> Shown:
    if (rails := _rails(machine)) is not None:
        return rails
    return "whether their ports are active is not known" if _has(machine, "rails-unknown") else None


def _has(machine: Machine, *codes: Code) -> bool:
    return any(reason.code in codes for reason in machine.derived.health.reasons)


def _nics(machine: Machine) -> Shown:
    """Which NICs there are."""
    rails = _rails(machine)
    return None if rails == ABSENT else rails


#: What only an expectation decides → the field that states it.
_STATED: Final[Mapping[Code, str]] = MappingProxyType(
    {
        "gpus-missing": "gpus",
        "nics-missing": "nics",
        "rails-missing": "rails",
        "mtu-differs": "mtu_bytes",
        "rdma-mtu-differs": "rdma_mtu_bytes",
        "gid-index-differs": "gid_index",
        "pcie-below-expected": "pcie",
        "version-differs": "versions",
    }
)
_ABOUT: Final[Mapping[Code, Callable[[Machine], Shown]]] = MappingProxyType(
    {
        "no-gpu": _any_gpu,
        "no-gpu-answers": _gpus,
        "no-gpu-read": _bus,
        "gpus-withheld": _bus,
        "accelerators-not-read": _bus,
        "modules-missing": _modules,
        "driver-problem": _driver,
        "gpu-problem": _health,
        "gpu-recovery": _health,
        "gpu-memory-repair": _health,
        "pair-problem": _pairs,
        "fabric-registering": _fabric,
        "fabric-in-progress": _fabric,
        "fabric-error": _fabric,
        "fabric-unhealthy": _fabric,
        "fabric-limited-capacity": _fabric,
        "fabric-unknown": _fabric,
        "fabric-mixed": _fabric,
        "fabric-not-supported": _fabric_due,
        "domains-differ": _fabric,
        "nvlinks-training": _gpus,
        "nvlinks-hidden": _gpus,
        "nvlinks-unknown": _gpus,
        "nvlinks-missing": _links,
        "nvlinks-down": _links,
        "nvlinks-unbridged": _links,
        "nvlink-ends-unknown": _links,
        "nvlink-p2p-refused": _peers,
        "nvlink-p2p-unknown": _links,
        "ports-down": _ports,
        "rails-down": _ports,
        "rails-unknown": _rails,
        "rail-without-ports": _rails,
        "pcie-below-best": _lanes,
        "pcie-below-expected": _lanes,
        "gpus-missing": _every_gpu,
        "nics-missing": _nics,
        "rails-missing": _nics,
        "mtu-differs": _nics,
        "rdma-mtu-differs": _nics,
        "gid-index-differs": _ports,
    }
)
