"""The largest packet that a host answers: echo requests with "don't fragment", by a socket of ICMP.

At most ``MOST_SECONDS`` for each host. Needs CAP_NET_RAW, or ``net.ipv4.ping_group_range`` with the caller's group.
"""

import contextlib
import errno
import os
import select
import socket
import time
from typing import Any, Final, NamedTuple, Self

import psutil

from nvtopo.model.formats import icmp
from nvtopo.model.samples.probed import PathMtu

#: For each host.
MOST_SECONDS: Final = 30.0
#: A switch or a cable answers within a millisecond; a loaded host within a second.
_ANSWER_SECONDS: Final = 1.0
_TRIES: Final = 2
#: The kernel has dropped the packet itself: too large for the device, or the device refused it.
_DROPPED: Final = frozenset({errno.EMSGSIZE, errno.ENOBUFS})
_MOST_MESSAGES: Final = 10_000
#: What the length field of an IP header can say: lo has a larger MTU than any packet.
_MOST_BYTES: Final = 65_535
#: What ``linux/in.h`` and ``linux/in6.h`` call them; Python has names for them since 3.13 only.
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3


class _Family(NamedTuple):
    version: int
    family: socket.AddressFamily
    protocol: int
    header_bytes: int
    least_bytes: int
    """Every path carries so much."""
    discover: tuple[int, int]


_FAMILIES: Final = {
    socket.AF_INET: _Family(4, socket.AF_INET, socket.IPPROTO_ICMP, 20, 576, (socket.IPPROTO_IP, _IP_MTU_DISCOVER)),
    socket.AF_INET6: _Family(
        6, socket.AF_INET6, socket.IPPROTO_ICMPV6, 40, 1280, (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER)
    ),
}


def read(host: str, netdev: str = "") -> PathMtu:
    """Try the MTU of ``netdev``, or of the device that the route takes, and smaller packets if that one is lost."""
    end = time.monotonic() + MOST_SECONDS
    try:
        family, address = _address(host)
        netdev = netdev or _leaves_by(family, address)
        mtu = _mtu(netdev)
        with _Echo(family, address, netdev) as echo:
            passed = _largest(echo, mtu or _MOST_BYTES, end)
    except OSError as error:
        return PathMtu(host, netdev, None, None, error.strerror or str(error))
    return PathMtu(host, netdev, mtu, passed)


def _largest(echo: "_Echo", mtu: int, end: float) -> int | None:
    if echo.passes(mtu, end):
        return mtu
    least, most = echo.family.least_bytes, mtu
    if most <= least or not echo.passes(least, end):
        return None
    while most - least > 1 and time.monotonic() < end:
        middle = (least + most) // 2
        if echo.passes(middle, end):
            least = middle
        else:
            most = middle
    return least


class _Echo:
    """A socket for echo requests to one address."""

    def __init__(self, family: _Family, address: tuple[Any, ...], netdev: str) -> None:
        self.family, self._address = family, address
        self._raw, self._socket = _opened(family)
        self._identifier, self._sequence = os.getpid() & 0xFFFF, 0
        try:
            self._socket.setsockopt(*family.discover, _PMTUDISC_PROBE)
            if netdev:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, netdev.encode())
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def passes(self, packet_bytes: int, end: float) -> bool:
        """Whether a packet of this size is answered, once of several times."""
        return any(self._once(packet_bytes, end) for _ in range(_TRIES))

    def _once(self, packet_bytes: int, end: float) -> bool:
        self._sequence = (self._sequence + 1) & 0xFFFF
        payload = packet_bytes - self.family.header_bytes - icmp.HEADER_BYTES
        request = icmp.request(self.family.version, self._identifier, self._sequence, payload)
        try:
            self._socket.send(request)
            return self._answered(min(time.monotonic() + _ANSWER_SECONDS, end))
        except OSError as error:
            if error.errno in _DROPPED:
                return False
            raise

    def _answered(self, until: float) -> bool:
        """Whether the reply is among what comes: a raw socket shows all that comes to this host."""
        for _ in range(_MOST_MESSAGES):
            if not select.select([self._socket], (), (), max(0.0, until - time.monotonic()))[0]:
                return False
            if self._is_reply(self._socket.recv(_MOST_BYTES)):
                return True
        return False

    def _is_reply(self, message: bytes) -> bool:
        if self._raw and self.family.version == 4 and message:  # noqa: PLR2004 - a raw socket of IPv4 shows its header
            message = message[(message[0] & 0xF) * 4 :]
        identifier = self._identifier if self._raw else None
        return icmp.answers(message, self.family.version, identifier, self._sequence)


def _opened(family: _Family) -> tuple[bool, socket.socket]:
    """Whether it is raw, and the socket: one that needs no capability if the host allows it."""
    with contextlib.suppress(PermissionError):
        return False, socket.socket(family.family, socket.SOCK_DGRAM, family.protocol)
    return True, socket.socket(family.family, socket.SOCK_RAW, family.protocol)


def _address(host: str) -> tuple[_Family, tuple[Any, ...]]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except UnicodeError:
        raise OSError(f"{host[:64]!r} is not the name of a host") from None
    family, _, _, _, address = found[0]
    return _FAMILIES[family], address


def _leaves_by(family: _Family, address: tuple[Any, ...]) -> str:
    """The device with the address that the route gives as its source; no packet is sent for that."""
    with socket.socket(family.family, socket.SOCK_DGRAM) as unsent:
        unsent.connect((address[0], 9, *address[2:]))
        source = unsent.getsockname()[0].partition("%")[0]
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        if source in {one.address.partition("%")[0] for one in addresses}:
            return name
    return ""


def _mtu(netdev: str) -> int | None:
    found = psutil.net_if_stats().get(netdev)
    if netdev and found is None:
        raise OSError(errno.ENODEV, f"there is no network device {netdev[:64]!r}")
    return None if found is None else min(found.mtu, _MOST_BYTES)
