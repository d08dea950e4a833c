"""Which network device the route to an address takes: ``/proc/net/route`` and ``/proc/net/ipv6_route``.

Only the main table is in these files: a rule that sends packets to another table is not seen.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_UP = 1
#: RTF_REJECT: an unreachable or prohibited route.
_REJECTS = 0x200


class Route(NamedTuple):
    """A route that is up."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    metric: int
    netdev: str


def taken(routes: tuple[Route, ...], server: Address) -> str | None:
    """The device of the most specific route to the server; of equal ones, that of the least metric; None without."""
    fitting = [route for route in routes if route.network.version == server.version and server in route.network]
    best = min(fitting, key=lambda route: (-route.network.prefixlen, route.metric), default=None)
    return None if best is None else best.netdev


def ipv4(text: str) -> Iterator[Route]:
    """Lines of ``Iface Destination Gateway Flags RefCnt Use Metric Mask …``: addresses as the CPU has them, in hex."""
    for line in text.splitlines()[1:]:
        words = line.split()
        with suppress(ValueError, IndexError):
            if _is_usable(int(words[3], 16)):
                destination, mask = (ipaddress.IPv4Address(bytes.fromhex(words[at])[::-1]) for at in (1, 7))
                network = ipaddress.IPv4Network((int(destination), str(mask)))
                yield Route(network, int(words[6]), words[0])


def ipv6(text: str) -> Iterator[Route]:
    """Lines of ``destination length source length next-hop metric references use flags device``, in hex."""
    for line in text.splitlines():
        words = line.split()
        with suppress(ValueError, IndexError):
            if _is_usable(int(words[8], 16)) and words[9] != "lo":
                destination = int.from_bytes(bytes.fromhex(words[0]))
                network = ipaddress.IPv6Network((destination, int(words[1], 16)))
                yield Route(network, int(words[5], 16), words[9])


def _is_usable(flags: int) -> bool:
    return bool(flags & _UP) and not flags & _REJECTS
