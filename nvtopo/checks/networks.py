"""NetworkAttachmentDefinitions and the resources that they name, against the node's functions and network devices."""

from collections.abc import Iterator, Mapping
from typing import Final

from nvtopo.checks.check import (
    NODE,
    CheckResult,
    Fits,
    Found,
    Machine,
    Network,
    NodeCheck,
    NodeLabels,
    Unknown,
    of_fact,
)
from nvtopo.findings.finding import Check
from nvtopo.model.formats import quantity

#: Plugins whose resource is a virtual function for each pod; a resource of another one may be shared by many.
_OF_FUNCTIONS: Final = ("sriov", "ib-sriov")
#: Plugins that take a network device of the host, or stand on one.
_ON_DEVICES: Final = ("macvlan", "ipvlan", "ipoib", "vlan", "host-device", "bond")


def _given(machine: Machine) -> NodeLabels | Unknown | None:
    """The Node, if networks are given beside it."""
    if machine.labels is None or not machine.labels.networks:
        return None
    return Unknown(NODE, "no Node of its name is given") if machine.labels.values is None else machine.labels


def _resources(machine: Machine, given: NodeLabels) -> Iterator[CheckResult]:
    """A resource that the Node does not name is another pool's."""
    named = {network.resource for network in given.networks if network.resource}
    if named and (given.allocatable is None or given.capacity is None):
        yield Unknown(NODE, "its Node has no status")
        return
    for resource in sorted(named & (given.capacity or {}).keys()):
        there, offered = (_number(of, resource) for of in (given.capacity, given.allocatable))
        if there is None or offered is None:
            yield Unknown(resource, "the Node says no number of it")
        elif not there:
            said = "its Node has none of it, and a network gives one of it to each pod"
            yield Found(resource, said, None if _virtual(machine) else "info")  # the kubelet keeps what a plugin had
        elif offered < there:
            yield Found(resource, f"its Node offers {offered} of {there}")
        else:
            yield Fits()


def _number(amounts: Mapping[str, str] | None, resource: str) -> int | None:
    return quantity.whole((amounts or {}).get(resource, ""))


def _virtual(machine: Machine) -> int:
    return sum(1 for function in machine.functions.values() if function.physfn is not None)


def _functions(machine: Machine, given: NodeLabels) -> Iterator[CheckResult]:
    """Several networks may name one resource, and one resource may be of several NICs."""
    named = {network.resource for network in given.networks if network.resource and network.kind in _OF_FUNCTIONS}
    found = {name: _number(given.capacity, name) for name in named & (given.capacity or {}).keys()}
    if not found:
        return
    counts = [count for count in found.values() if count is not None]
    if not machine.functions or len(counts) < len(found):
        yield Unknown(NODE, "the PCI functions could not be read, or the Node says no number of a resource")
        return
    if sum(counts) > (virtual := _virtual(machine)):
        names = ", ".join(sorted(found))
        yield Found(NODE, f"its Node has {sum(counts)} of {names}, and PCI has {virtual} virtual functions")
    else:
        yield Fits()


def _on_devices(given: NodeLabels) -> tuple[Network, ...]:
    return tuple(network for network in given.networks if network.netdev and network.kind in _ON_DEVICES)


def _devices(machine: Machine, given: NodeLabels) -> Iterator[CheckResult]:
    """Networks of other pools of nodes are given too."""
    net = machine.snapshot.net if machine.snapshot is not None else None
    there = {device.name for device in net.devices} if net is not None else set()
    for network in _on_devices(given):
        if net is None:
            yield Unknown(network.name, "the network devices could not be read")
        elif network.netdev not in there:
            yield Found(network.name, f"is on {network.netdev}, which this network namespace does not have")
        else:
            yield Fits()


def _mtus(machine: Machine, given: NodeLabels) -> Iterator[CheckResult]:
    net = machine.snapshot.net if machine.snapshot is not None else None
    mtus = {device.name: device.mtu_bytes for device in net.devices} if net is not None else {}
    for network in _on_devices(given):
        mtu = mtus.get(network.netdev or "")
        if network.mtu_bytes is None or (mtus and network.netdev not in mtus):
            continue
        if mtu is None:
            yield Unknown(network.name, f"the MTU of {network.netdev} could not be read")
        elif network.mtu_bytes > mtu:
            yield Found(network.name, f"sets an MTU of {network.mtu_bytes} bytes, and {network.netdev} has {mtu}")
        else:
            yield Fits()


_READS: Final = "NetworkAttachmentDefinitions with the Nodes (--nodes)"
CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "network-resource-short",
            "warning",
            "scheduler",
            "all of each resource that a network names among what the Node offers",
            "Look at the log of that resource's device plugin: it takes away what is unhealthy or not selected.",
        ),
        f"{_READS}, status.{{capacity,allocatable}} of the Node",
        "the file of --nodes has no Node of this name, or the Node has no status",
        of_fact(_given, _resources),
    ),
    NodeCheck(
        Check(
            "network-functions-differ",
            "warning",
            "network-fabric",
            "no more of the networks' SR-IOV resources than there are virtual functions",
            "Restart the SR-IOV device plugin: it lists functions when it starts; then look at sriov_numvfs.",
        ),
        f"{_READS}, status.capacity of the Node, /sys/bus/pci/devices/*/physfn",
        "the file of --nodes has no Node of this name, or the PCI functions could not be read",
        of_fact(_given, _functions),
    ),
    NodeCheck(
        Check(
            "network-device-missing",
            "info",
            "network-fabric",
            "the network device that a network stands on",
            "Nothing is to be done if that network is for other nodes; pods that use it fail to start here.",
        ),
        f"{_READS}, /sys/class/net",
        "the file of --nodes has no Node of this name, or the network devices could not be read",
        of_fact(_given, _devices),
    ),
    NodeCheck(
        Check(
            "network-mtu-large",
            "warning",
            "network-fabric",
            "an MTU of a network that the device below it carries",
            "Set the MTU of that network device as the network has it, or lower `mtu` in the network's configuration.",
        ),
        f"{_READS}, /sys/class/net/*/mtu",
        "the file of --nodes has no Node of this name, or the device's MTU could not be read",
        of_fact(_given, _mtus),
    ),
)
