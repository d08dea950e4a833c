"""Ways in which the default route leaves by the H100 machine's first rail, as text of recorded files."""

from collections.abc import Callable
from typing import Final

#: The network device of the first rail's NIC, and where it is.
_NIC: Final = "enp84s0np0"
_PATH: Final = f"/sys/devices/pci0000:50/0000:50:01.0/0000:51:00.0/0000:52:01.0/0000:54:00.0/net/{_NIC}"
_VIRTUAL: Final = "/sys/devices/virtual/net"
_HEAD: Final = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT"


def _device(name: str, index: int, kind: str, *links: str) -> tuple[str, ...]:
    """A virtual device; ``links`` are ``name -> target``."""
    path = f"{_VIRTUAL}/{name}"
    return (
        f"/sys/class/net/{name} -> ../../devices/virtual/net/{name}",
        f"{path}/ifindex = {index}",
        f"{path}/mtu = 9000",
        f"{path}/operstate = up",
        f"{path}/uevent = {f'DEVTYPE={kind}' if kind else f'INTERFACE={name}'}",
        *(f"{path}/{link}" for link in links),
    )


def _ipv4(device: str) -> str:
    return f"/proc/net/route = {_HEAD}\\n{device}\t00000000\t010A000A\t0003\t0\t0\t100\t00000000\t0\t0\t0"


def _ipv6(device: str) -> str:
    fields = ("0" * 32, "00", "0" * 32, "00", f"fe80{'0' * 27}1", "00000400", "00000001", "00000000", "00000003")
    return f"/proc/net/ipv6_route = {' '.join(fields)} {device}"


def _way(*lines: str) -> Callable[[str], str]:
    return lambda text: "\n".join((text.rstrip("\n"), *lines, ""))


def _under(master: str) -> str:
    return f"{_PATH}/master -> ../../../../../../virtual/net/{master}"


_TO_NIC: Final = f"lower_{_NIC} -> ../../../pci0000:50/0000:50:01.0/0000:51:00.0/0000:52:01.0/0000:54:00.0/net/{_NIC}"
_BOND: Final = (_under("bond0"), *_device("bond0", 40, "bond", _TO_NIC))
_OVS: Final = (*_device("ovs-system", 41, ""), *_device("br-ex", 42, ""))

FRONTS: Final = {
    "the-nic": _way(_ipv4(_NIC)),
    "ipv6-only": _way(_ipv6(_NIC)),
    "a-vlan": _way(*_device(f"{_NIC}.7", 40, "vlan", _TO_NIC), _ipv4(f"{_NIC}.7")),
    "a-vlan-on-a-bond": _way(*_BOND, *_device("bond0.7", 43, "vlan", "lower_bond0 -> ../bond0"), _ipv4("bond0.7")),
    "a-bridge-on-a-bond": _way(
        *_BOND,
        f"{_VIRTUAL}/bond0/master -> ../br0",
        *_device("br0", 43, "bridge", "lower_bond0 -> ../bond0"),
        _ipv6("br0"),
    ),
    "open-vswitch": _way(_under("ovs-system"), *_OVS, _ipv4("br-ex")),
}
"""Way → the files that are there then."""
