"""Which network devices carry a default route of the host, through every VLAN, bond, bridge and Open vSwitch."""

from collections.abc import Iterable, Mapping

from nvtopo.model.records.facts import NetDevice, NetFacts

#: The datapath device of Open vSwitch. A bridge such as ``br-ex`` does not say which ports it has; the kernel's name
#: for the master of all of them is this one.
_OVS_DATAPATH = "ovs-system"


def front_netdevs(net: NetFacts | None) -> frozenset[str]:
    """Every device that a default route, IPv4 or IPv6, goes out by, down to the physical ones."""
    if net is None:
        return frozenset()
    by_name = {device.name: device for device in net.devices}
    waiting = [route for route in (net.default_route, net.default_route_ipv6) if route is not None]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _below(name, by_name)
    return frozenset(found)


def _below(name: str, by_name: Mapping[str, NetDevice]) -> list[str]:
    device = by_name.get(name)
    members = _members(name, by_name.values())
    lower = device.lower if device is not None else ()
    if members or lower:
        return [*members, *lower]
    if device is None or device.pci_address is not None:
        return []
    if device.kind == "vlan":  # recorded before lower devices were read: eth0.100 stands on eth0
        parent = name.rpartition(".")[0]
        return [parent] if parent in by_name else []
    return _members(_OVS_DATAPATH, by_name.values())


def _members(master: str, devices: Iterable[NetDevice]) -> list[str]:
    return [device.name for device in devices if device.master == master]
