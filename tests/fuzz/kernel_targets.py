"""What the kernel sends: netlink's datagrams, and a packet that answers an echo request."""

import struct
from collections.abc import Callable, Iterable
from typing import Final

from nvtopo.errors import ParseError
from nvtopo.model.formats import icmp
from nvtopo.sources import netlink as framing
from nvtopo.sources.linux import dcb
from nvtopo.sources.linux.links import Links
from nvtopo.sources.netlink import attribute, attributes
from nvtopo.sources.rdma import netlink_rdma

_ENDS: Final = (2, 3)
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE, _BRIDGING = 16, 20, 24, 78
_RDMA: Final = (5129, 5130, 5137)
_LINK_HEAD: Final = struct.Struct("=BxHiII")


def _message(kind: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 7, 0) + payload + bytes(-len(payload) % 4)


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4, "little"))


def datagrams() -> Iterable[bytes]:
    """A link and an address; the answers about RDMA's resources, and about data center bridging."""
    link = _LINK_HEAD.pack(0, 1, 5, 1, 0) + attribute(3, b"veth0\0") + attribute(18, attribute(1, b"veth\0"))
    entry = attribute(17, b"qp\0") + attribute(18, (3).to_bytes(8, "little"))
    summary = _number(1, 0) + attribute(2, b"mlx5_0\0") + attribute(15, attribute(16, entry))
    pairs = attribute(19, attribute(20, attribute(26, b"\2") + attribute(27, b"\3")))
    counter = attribute(81, attribute(82, b"out_of_buffer\0") + attribute(83, (9).to_bytes(8, "little")))
    counters = attribute(77, attribute(78, _number(3, 1) + attribute(26, b"\2") + attribute(80, counter)))
    row = struct.pack("=BBH", 5, 3, 26)
    buffers = struct.pack("=8B8II", 0, 0, 0, 1, 0, 0, 2, 7, *range(100, 108), 828)
    bridging = attribute(2, bytes((8, 9))) + attribute(3, attribute(1, row)) + attribute(10, buffers)
    address = struct.pack("=BBBBI", 2, 24, 0, 0, 5)
    return (
        _message(_NEW_LINK, link) + _message(_NEW_ADDRESS, address) + _message(_NEW_ROUTE, bytes(12)),
        b"".join(map(_message, _RDMA, (summary, pairs, counters))) + _message(_ENDS[1], bytes(4)),
        _message(_BRIDGING, bytes(4) + attribute(1, b"eth0\0") + attribute(13, bridging)),
        _message(_ENDS[0], bytes(4)),
    )


def _netlink(body: bytes) -> None:
    """Each payload by who reads its kind; the kernel's refusal is an OSError, as the callers expect it."""
    try:
        links = Links()
        for kind, _, payload in framing.messages(memoryview(body)):
            if kind in _ENDS:
                framing._raise_for(payload)
            elif kind == _BRIDGING:
                dcb.parse(attributes(payload[4:]))
            elif kind in _RDMA:
                message = attributes(payload)
                netlink_rdma.summary(message)
                list(netlink_rdma.kinds(message))
                list(netlink_rdma.bound(message))
            else:
                links.is_news(kind, payload)
    except OSError as error:
        raise ParseError(str(error)) from error


def _echo(body: bytes) -> None:
    for version in (4, 6):
        icmp.answers(body, version, 9, 3)


TARGETS: Final[dict[str, tuple[Callable[[], Iterable[bytes]], Callable[[bytes], object]]]] = {
    "netlink": (datagrams, _netlink),
    "icmp": (lambda: (icmp.request(4, 9, 3, 20), b"\x81" + icmp.request(6, 9, 3, 20)[1:]), _echo),
}
