"""What device plugins state to the kubelet, against the PCI bus: the topology manager aligns by the first alone."""

from collections.abc import Iterator
from typing import Final

from nvtopo.checks.check import NODE, CheckResult, Fits, Found, Machine, NodeCheck, Unknown, of_fact
from nvtopo.checks.scheduler import ALIGNS, kubelet_of
from nvtopo.findings.finding import Check
from nvtopo.model.formats.address import is_pci_address, parse_pci_address
from nvtopo.model.records.facts import DeviceHint, KubeletFacts

#: Between a GPU's UUID and the number of a share of it.
_SHARE: Final = "::"


def _hints(machine: Machine) -> tuple[DeviceHint, ...] | Unknown | None:
    """None if nothing is aligned by them."""
    kubelet = kubelet_of(machine)
    if not isinstance(kubelet, KubeletFacts):
        return kubelet
    if kubelet.topology_manager_policy is None:
        return Unknown(NODE, "the topology manager's policy in force is not known")
    if kubelet.topology_manager_policy not in ALIGNS or machine.several_numa is False:
        return None
    facts = machine.snapshot.hints if machine.snapshot is not None else None
    return (
        Unknown(NODE, "what the device plugins state could not be asked of the kubelet")
        if facts is None
        else facts.devices
    )


def _of_gpus(machine: Machine, hints: tuple[DeviceHint, ...]) -> Iterator[CheckResult]:
    stated = {hint.id.partition(_SHARE)[0]: hint.numa_nodes for hint in hints}
    for gpu in machine.node.gpus:
        if gpu.mig or gpu.numa_node is None:
            continue
        nodes = stated.get(gpu.uuid)
        if nodes is None:
            yield Unknown(gpu.key, "no device plugin offers it by its UUID")
        elif not nodes:
            yield Found(gpu.key, f"its device plugin states no NUMA node, and PCI says {gpu.numa_node}")
        elif gpu.numa_node not in nodes:
            yield Found(
                gpu.key,
                f"its device plugin states NUMA node {', '.join(map(str, nodes))}, and PCI says {gpu.numa_node}",
            )
        else:
            yield Fits()


def _of_functions(machine: Machine, hints: tuple[DeviceHint, ...]) -> Iterator[CheckResult]:
    """Resources whose devices are PCI functions, as SR-IOV's; operators may leave their hint out on purpose."""
    for hint in hints:
        address = parse_pci_address(hint.id) if is_pci_address(hint.id) else None
        if address is None:
            continue
        subject = f"{hint.resource} {address}"
        function = machine.functions.get(address)
        if not machine.functions:
            yield Unknown(subject, "the PCI functions could not be read")
        elif function is None:
            yield Found(subject, "is offered to pods, and the PCI bus has no such function")
        elif hint.numa_nodes and function.numa_node is not None and function.numa_node not in hint.numa_nodes:
            yield Found(
                subject,
                f"its device plugin states NUMA node {', '.join(map(str, hint.numa_nodes))}, and PCI says"
                f" {function.numa_node}",
            )
        else:
            yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "gpu-hint-differs",
            "warning",
            "scheduler",
            "the NUMA node of each GPU in what its device plugin tells the kubelet",
            "Restart the device plugin; if it still states none, look whether it sees /sys of the host.",
        ),
        "GetAllocatableResources of the kubelet's pod resources API, /sys/bus/pci/devices/*/numa_node",
        "the kubelet does not answer, the policy in force is not known, or no device plugin offers the GPUs",
        of_fact(_hints, _of_gpus),
    ),
    NodeCheck(
        Check(
            "function-hint-differs",
            "warning",
            "scheduler",
            "PCI functions that are there, with their NUMA node, in what device plugins tell the kubelet",
            "Restart the device plugin of that resource: it lists functions only when it starts.",
        ),
        "GetAllocatableResources of the kubelet's pod resources API, /sys/bus/pci/devices",
        "the kubelet does not answer, the policy in force is not known, or the PCI functions could not be read",
        of_fact(_hints, _of_functions),
    ),
)
