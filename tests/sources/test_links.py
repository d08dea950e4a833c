"""Messages of rtnetlink, written by pyroute2; this kernel's links, as pyroute2 lists them."""

import contextlib
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2 import IPRoute
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEIGH, RTM_NEWROUTE
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from nvtopo.sources.linux.links import Links
from nvtopo.sources.netlink import messages

VETH = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth")]})
BRIDGE = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]})
NAME = ("IFLA_IFNAME", "some0")


def written(message: Any, kind: int, *attributes: Any, **fields: int) -> bytes:
    """As the kernel sends it."""
    message["header"]["type"] = kind
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data)


def link(index: int, *attributes: Any, kind: int = RTM_NEWLINK) -> bytes:
    return written(ifinfmsg(), kind, NAME, *attributes, index=index)


def address(index: int) -> bytes:
    return written(ifaddrmsg(), RTM_NEWADDR, ("IFA_ADDRESS", "192.0.2.1"), index=index, family=2, prefixlen=24)


def route(prefix_bits: int) -> bytes:
    return written(rtmsg(), RTM_NEWROUTE, ("RTA_OIF", 3), dst_len=prefix_bits, family=2)


def news(*datagrams: bytes) -> list[bool]:
    """Of each message, one after the other."""
    links = Links()
    return [links.is_news(kind, payload) for one in datagrams for kind, _, payload in messages(memoryview(one))]


@pytest.mark.parametrize(
    ("datagrams", "expected"),
    [
        pytest.param([link(3), address(3)], [True, True], id="a physical link and its address"),
        pytest.param([link(4, BRIDGE), address(4)], [True, True], id="a bridge may be part of a NIC's"),
        pytest.param([link(5, VETH), address(5)], [False, False], id="a pod's link, and its address"),
        pytest.param([link(5, VETH) + address(5) + link(3)], [False, False, True], id="several in a datagram"),
        pytest.param([link(5, VETH), link(5, VETH, kind=RTM_DELLINK), address(5)], [False, False, True], id="gone"),
        pytest.param([link(5, VETH), link(5), address(5)], [False, True, True], id="its index is another link's now"),
        pytest.param([route(0), route(24)], [True, False], id="only the default route"),
        pytest.param([written(ndmsg(), RTM_NEWNEIGH, ifindex=3)], [False], id="a neighbour"),
    ],
)
def test_pods_are_no_news(datagrams: list[bytes], expected: list[bool]) -> None:
    assert news(*datagrams) == expected


@pytest.mark.parametrize("kind", [RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE])
def test_a_message_that_was_cut_is_refused(kind: int) -> None:
    with pytest.raises(OSError, match=r"expected a message of \d+ bytes or more, got 1$"):
        Links().is_news(kind, memoryview(b"\0"))


@given(st.sampled_from([RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE]), st.binary(max_size=100))
def test_noise_is_refused_or_read(kind: int, noise: bytes) -> None:
    with contextlib.suppress(OSError):
        assert Links().is_news(kind, memoryview(noise)) in {True, False}


def test_this_kernel_s_links_are_those_that_pyroute2_lists() -> None:
    class Seen(Links):
        def __init__(self) -> None:
            super().__init__()
            self.indices: list[int] = []

        def is_news(self, kind: int, payload: memoryview) -> bool:
            self.indices.append(int.from_bytes(payload[4:8], sys.byteorder))
            return super().is_news(kind, payload)

    links = Seen()
    links.learn()
    with IPRoute() as kernel:
        assert links.indices == [one["index"] for one in kernel.get_links()]
