"""Tunnels of pod networks (VXLAN, Geneve, IPIP, WireGuard): their MTU against that of the device below them."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from nvtopo.checks.check import CheckResult, Fits, Found, Machine, NodeCheck, Unknown
from nvtopo.findings.finding import Check
from nvtopo.model.records.facts import NetDevice, NetFacts


class _Tunnel(NamedTuple):
    """Devices whose packets have so many bytes of headers more below."""

    names: re.Pattern[str]
    overhead_bytes: int
    is_ipv6: bool = False


#: Of flannel and Calico, which give pods the MTU of their tunnel. Headers: Ethernet 14, VXLAN or Geneve 8, UDP 8,
#: IPv4 20, IPv6 40, WireGuard 32 with its tag.
_TUNNELS: Final = (
    _Tunnel(re.compile(r"flannel\.\d+|vxlan\.calico"), 50),
    _Tunnel(re.compile(r"flannel-v6\.\d+|vxlan-v6\.calico"), 70, is_ipv6=True),
    _Tunnel(re.compile(r"tunl\d+"), 20),
    _Tunnel(re.compile(r"wireguard\.cali|flannel-wg"), 60),
    _Tunnel(re.compile(r"wg-v6\.cali|flannel-wg-v6"), 80, is_ipv6=True),
)
#: ``DEVTYPE`` → the same of any other tunnel that stands on a device.
_KINDS: Final = {"vxlan": 50, "geneve": 50}
_OTHERS: Final = re.compile(r"cilium_(vxlan|geneve|wg0)|genev_sys_\d+|vxlan_sys_\d+")


def _tunnels(machine: Machine) -> Iterator[CheckResult]:
    net = machine.snapshot.net if machine.snapshot is not None else None
    if net is None:
        return
    mtus = {device.name: device.mtu_bytes for device in net.devices}
    for device in net.devices:
        if device.operstate != "down":
            yield from _of_tunnel(device, net, mtus)


def _of_tunnel(device: NetDevice, net: NetFacts, mtus: dict[str, int | None]) -> Iterator[CheckResult]:
    known = next((tunnel for tunnel in _TUNNELS if tunnel.names.fullmatch(device.name)), None)
    overhead = known.overhead_bytes if known is not None else _KINDS.get(device.kind) if device.lower else None
    if overhead is None:
        if device.kind in _KINDS or _OTHERS.fullmatch(device.name):
            yield Unknown(device.name, "the MTU of pods is that of their routes, which are not shown here")
        return
    route = net.default_route_ipv6 if known is not None and known.is_ipv6 else net.default_route
    below = device.lower[0] if device.lower else route
    carried = mtus.get(below) if below is not None else None
    if device.mtu_bytes is None or below is None or carried is None:
        yield Unknown(device.name, "its MTU, the device that its packets leave by, or that one's MTU is not shown")
    elif device.mtu_bytes + overhead > carried:
        yield Found(
            device.name,
            f"has an MTU of {device.mtu_bytes}, which makes packets of {device.mtu_bytes + overhead} bytes, and {below}"
            f" carries {carried}",
            expected=f"an MTU of {carried - overhead} at most",
        )
    else:
        yield Fits()


CHECKS: Final[tuple[NodeCheck, ...]] = (
    NodeCheck(
        Check(
            "overlay-mtu-large",
            "warning",
            "network-fabric",
            "a tunnel MTU of the pod network that leaves room for the headers on the device below",
            "Lower the MTU in the network plugin's configuration (flannel, Calico), or raise it on the device below.",
        ),
        "/sys/class/net/*/{mtu,uevent,operstate}, /proc/net/route, /proc/net/ipv6_route",
        "the tunnel's MTU or the device below is not shown, or pods have another MTU than it (Cilium, OVN)",
        _tunnels,
    ),
)
