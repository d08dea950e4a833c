"""Tunnels of pod networks (VXLAN, Geneve, IPIP, WireGuard): the MTU of pods against that of the device below them."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from nvtopo.checks.check import CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.records.facts import NetDevice, NetFacts


class _Tunnel(NamedTuple):
    """Devices whose packets have so many bytes of headers more below."""

    names: re.Pattern[str]
    overhead_bytes: int
    is_ipv6: bool = False


class _Flow(NamedTuple):
    """Tunnels whose own MTU limits nothing, since each packet names its other end: pods have that of another device."""

    names: re.Pattern[str]
    pods: re.Pattern[str]
    """The device that has the MTU of the pods."""
    overhead_bytes: int


#: Of flannel, Calico and Cilium. Headers: Ethernet 14, VXLAN or Geneve 8, UDP 8, IPv4 20, IPv6 40, WireGuard 32 with
#: its tag.
_TUNNELS: Final = (
    _Tunnel(re.compile(r"flannel\.\d+|vxlan\.calico"), 50),
    _Tunnel(re.compile(r"flannel-v6\.\d+|vxlan-v6\.calico"), 70, is_ipv6=True),
    _Tunnel(re.compile(r"tunl\d+"), 20),
    _Tunnel(re.compile(r"wireguard\.cali|flannel-wg|cilium_wg0"), 60),
    _Tunnel(re.compile(r"wg-v6\.cali|flannel-wg-v6"), 80, is_ipv6=True),
)
#: Cilium gives cilium_host and pods the MTU of the device below, and takes the headers off in its routes. The others
#: leave room for the headers in the MTU of the pods; OVN's Geneve header has 8 bytes of options.
_FLOWS: Final = (
    _Flow(re.compile(r"cilium_(vxlan|geneve)"), re.compile(r"cilium_host"), 0),
    _Flow(re.compile(r"genev_sys_\d+"), re.compile(r"ovn-k8s-mp0|ovn0"), 58),
    _Flow(re.compile(r"(genev|vxlan)_sys_\d+"), re.compile(r"antrea-gw0"), 50),
    _Flow(re.compile(r"vxlan_sys_\d+"), re.compile(r"tun0"), 50),
)
#: ``DEVTYPE`` → the same of any other tunnel that stands on a device.
_KINDS: Final = {"vxlan": 50, "geneve": 50}
#: What the headers over IPv6 have more.
_IPV6: Final = 20


def mtus(net: NetFacts) -> dict[str, int | None]:
    """Device of a pod network that has the same name on each node → its MTU; None if it is not shown."""
    named = [tunnel.names for tunnel in _TUNNELS] + [flow.pods for flow in _FLOWS if _tunnel_of(flow, net)]
    return {
        device.name: device.mtu_bytes
        for device in net.devices
        if device.operstate != "down" and any(pattern.fullmatch(device.name) for pattern in named)
    }


def _tunnel_of(flow: _Flow, net: NetFacts) -> bool:
    return any(flow.names.fullmatch(device.name) for device in net.devices)


def _tunnels(machine: Machine) -> Iterator[CheckResult]:
    net = machine.snapshot.net if machine.snapshot is not None else None
    if net is None:
        if machine.snapshot is not None:
            yield Unknown("pod network", "the input does not show network devices")
        return
    shown = {device.name: device.mtu_bytes for device in net.devices}
    for device in net.devices:
        if device.operstate != "down":
            yield from _of_tunnel(device, net, shown)


def _of_tunnel(device: NetDevice, net: NetFacts, shown: Mapping[str, int | None]) -> Iterator[CheckResult]:
    flows = [flow for flow in _FLOWS if flow.names.fullmatch(device.name)]
    pods = next(((one, flow) for flow in flows for one in net.devices if flow.pods.fullmatch(one.name)), None)
    if pods is not None:
        below, more = _way_out(net)
        yield _judged(pods[0], below, pods[1].overhead_bytes + (more if pods[1].overhead_bytes else 0), shown)
        return
    known = next((tunnel for tunnel in _TUNNELS if tunnel.names.fullmatch(device.name)), None)
    overhead = known.overhead_bytes if known is not None else _KINDS.get(device.kind) if device.lower else None
    if overhead is None or flows:
        if device.kind in _KINDS or flows:
            yield Unknown(device.name, "no other device is known to have the MTU of the pods")
        return
    route = net.default_route_ipv6 if known is not None and known.is_ipv6 else net.default_route
    yield _judged(device, device.lower[0] if device.lower else route, overhead, shown)


def _way_out(net: NetFacts) -> tuple[str | None, int]:
    """The device that packets to other nodes leave by, and what their headers have more than IPv4's."""
    return (net.default_route, 0) if net.default_route is not None else (net.default_route_ipv6, _IPV6)


def _judged(device: NetDevice, below: str | None, overhead: int, shown: Mapping[str, int | None]) -> CheckResult:
    carried = shown.get(below) if below is not None else None
    if device.mtu_bytes is None or below is None or carried is None:
        return Unknown(device.name, "its MTU, the device that its packets leave by, or that one's MTU is not shown")
    if device.mtu_bytes + overhead <= carried:
        return Fits()
    return Found(
        device.name,
        f"has an MTU of {device.mtu_bytes}, which makes packets of {device.mtu_bytes + overhead} bytes, and {below}"
        f" carries {carried}",
        expected=f"an MTU of {carried - overhead} at most",
    )


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "overlay-mtu-large",
            "warning",
            "network-fabric",
            "a tunnel MTU of the pod network that leaves room for the headers on the device below",
            "Lower the MTU in the network plugin's configuration, or raise it on the device below.",
        ),
        "/sys/class/net/*/{mtu,uevent,operstate}, /proc/net/route, /proc/net/ipv6_route",
        "the tunnel's MTU or the device below is not shown, or no other device has the MTU of the pods",
        _tunnels,
    ),
)
