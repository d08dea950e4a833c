"""Which rtnetlink messages matter: include/uapi/linux/rtnetlink.h and if_link.h.

A node that starts a pod every second gets events of pod links and of neighbours all the time. No fact is read from
those, so they are ignored.
"""

import errno
import socket
import struct
from typing import Final

from nvtopo.sources.netlink import Netlink, attributes

_ANSWER_SECONDS: Final = 5.0

_GROUP_LINK, _GROUP_IPV4_ADDRESS, _GROUP_IPV4_ROUTE, _GROUP_IPV6_ADDRESS = 0x1, 0x10, 0x40, 0x100
GROUPS: Final = _GROUP_LINK | _GROUP_IPV4_ADDRESS | _GROUP_IPV6_ADDRESS | _GROUP_IPV4_ROUTE
"""The multicast groups whose messages ``Links`` reads."""

_NEW_LINK, _DELETED_LINK, _GET_LINK = 16, 17, 18
_ADDRESS: Final = frozenset({20, 21})
_ROUTE: Final = frozenset({24, 25})
#: ``struct ifinfomsg``: family, type, index, flags, which of them changed.
_LINK_HEAD: Final = struct.Struct("=BxHiII")
#: ``struct ifaddrmsg``: family, prefix length, flags, scope, index of the link.
_ADDRESS_HEAD: Final = struct.Struct("=BBBBI")
#: The beginning of ``struct rtmsg``: family, length of the destination's prefix.
_ROUTE_HEAD: Final = struct.Struct("=BB")
_LINKINFO, _INFO_KIND = 18, 1

#: Links of pods and tunnels.
_PODS: Final = frozenset({"veth", "tun", "dummy", "ifb", "vxlan", "geneve", "ipip", "sit", "gre", "wireguard", "nlmon"})


class Links:
    """Ignores messages about pods. Address messages hold only a link's index, so it remembers the links of pods."""

    def __init__(self) -> None:
        self._pods: set[int] = set()

    def learn(self) -> None:
        """Ask the kernel for all links.

        Raises:
            OSError: the kernel does not answer.
        """
        with Netlink(socket.NETLINK_ROUTE, _ANSWER_SECONDS) as kernel:
            for payload in kernel.dump(_GET_LINK, bytes(_LINK_HEAD.size)):
                self.is_news(_NEW_LINK, payload)

    def is_news(self, kind: int, payload: memoryview) -> bool:
        """Whether a message matters: about a link that is not a pod's, about its addresses, or about a default route.

        Raises:
            OSError: EPROTO, the message is too short.
        """
        if kind in {_NEW_LINK, _DELETED_LINK}:
            return self._is_link_news(payload, gone=kind == _DELETED_LINK)
        if kind in _ADDRESS:
            return _head(_ADDRESS_HEAD, payload)[4] not in self._pods
        return kind in _ROUTE and _head(_ROUTE_HEAD, payload)[1] == 0

    def _is_link_news(self, payload: memoryview, *, gone: bool) -> bool:
        index = _head(_LINK_HEAD, payload)[2]
        if _link_kind(payload[_LINK_HEAD.size :]) not in _PODS:
            self._pods.discard(index)
            return True
        (self._pods.discard if gone else self._pods.add)(index)
        return False


def _head(head: struct.Struct, payload: memoryview) -> tuple[int, ...]:
    if len(payload) < head.size:
        raise OSError(errno.EPROTO, f"netlink: expected a message of {head.size} bytes or more, got {len(payload)}")
    return head.unpack_from(payload)


def _link_kind(payload: memoryview) -> str | None:
    """The kernel's name for the kind of a virtual link, such as ``veth``; None for a physical link."""
    info = dict(attributes(payload)).get(_LINKINFO)
    kind = None if info is None else dict(attributes(info)).get(_INFO_KIND)
    return None if kind is None else bytes(kind).rstrip(b"\0").decode("ascii", "replace")
