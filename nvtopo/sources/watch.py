"""Events that mean "read again": PCI, net and RDMA devices by udev, links and addresses by netlink.

The kernel's own uevents are read, since udevd's do not reach a container. An event says that something happened, not
what: the reader below ``/sys`` stays the one source of facts.
"""

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Self

logger = logging.getLogger(__name__)

SUBSYSTEMS: Final = ("pci", "net", "infiniband", "nvme")
#: Links that no fact is read of: those of pods and tunnels. A node that starts a pod a second has events of them all
#: the time, as it has of its neighbours.
_PODS: Final = frozenset({"veth", "tun", "dummy", "ifb", "vxlan", "geneve", "ipip", "sit", "gre", "wireguard", "nlmon"})
_VIRTUAL: Final = "/sys/devices/virtual/net/"
#: Virtual links that physical ones are part of, as uevents call them.
_OF_PHYSICAL: Final = ("bond", "bridge", "vlan")
_DATAGRAM_BYTES: Final = 1 << 16
#: After a watcher broke, which a burst that overflows its socket does too.
_AGAIN_SECONDS: Final = 5.0


class Events(NamedTuple):
    """A source of events that is open."""

    descriptor: Any
    """What can be waited for; it has a ``fileno``."""
    take: Callable[[], bool]
    """Takes the events that have come; whether one of them is news."""


Source = Callable[[], contextlib.AbstractContextManager[Events]]


@contextlib.contextmanager
def udev() -> Iterator[Events]:
    """Uevents of the kernel."""
    import pyudev

    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
    for subsystem in SUBSYSTEMS:
        monitor.filter_by(subsystem)
    monitor.start()

    def take() -> bool:
        devices = iter(lambda: monitor.poll(timeout=0), None)
        return any([not _is_pods(device) for device in devices])  # noqa: C419 - all are taken

    yield Events(monitor, take)


def _is_pods(device: Any) -> bool:
    virtual: bool = device.sys_path.startswith(_VIRTUAL) and device.get("DEVTYPE") not in _OF_PHYSICAL
    return virtual


@contextlib.contextmanager
def netlink() -> Iterator[Events]:
    """Links, their addresses, and the default route.

    On a socket of our own: pyroute2's keeps messages for later, of which ``select`` does not know.
    """
    from pyroute2 import IPRoute
    from pyroute2.netlink import rtnl
    from pyroute2.netlink.rtnl.marshal import MarshalRtnl

    groups = rtnl.RTMGRP_LINK | rtnl.RTMGRP_IPV4_IFADDR | rtnl.RTMGRP_IPV6_IFADDR | rtnl.RTMGRP_IPV4_ROUTE
    marshal, links = MarshalRtnl(), Links()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as events:
        events.bind((0, groups))
        with IPRoute() as route:
            for link in route.get_links():
                links.is_news(link)
        yield Events(events, lambda: any([links.is_news(one) for one in marshal.parse(events.recv(_DATAGRAM_BYTES))]))  # noqa: C419


class Links:
    """Tells news from what pods do, whose addresses have no more than their link's number."""

    def __init__(self) -> None:
        self._pods: set[int] = set()

    def is_news(self, message: Any) -> bool:
        """Whether one message of netlink is."""
        event = str(message["event"])
        if event.endswith("LINK"):
            return self._is_link_news(message, gone=event == "RTM_DELLINK")
        if event.endswith("ADDR"):
            return bool(message["index"] not in self._pods)
        return event.endswith("ROUTE") and bool(message["dst_len"] == 0)

    def _is_link_news(self, message: Any, *, gone: bool) -> bool:
        info = message.get_attr("IFLA_LINKINFO")
        if info is None or info.get_attr("IFLA_INFO_KIND") not in _PODS:
            self._pods.discard(message["index"])
            return True
        (self._pods.discard if gone else self._pods.add)(message["index"])
        return False


class Watch:
    """Calls ``changed`` on every event until it is closed. What can't be watched is logged, and polling remains."""

    def __init__(self, changed: Callable[[], None], sources: tuple[Source, ...] = (udev, netlink)) -> None:
        """``changed`` is called from threads, one for each source."""
        self._changed = changed
        self._threads = [
            threading.Thread(target=self._watch, args=(source,), name=source.__name__, daemon=True)
            for source in sources
        ]
        self._end_reader, self._end_writer = os.pipe()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end_writer)
        for thread in self._threads:
            thread.join()
        os.close(self._end_reader)

    def _watch(self, source: Source) -> None:
        """A source's thread: pyroute2 wants its socket made and read in one thread."""
        said = None
        while not self._ended(after=0):
            try:
                self._follow(source)
            except Exception as error:  # noqa: BLE001 - whatever a watcher lacks here, the slow pass still runs
                if str(error) != said:
                    logger.warning("cannot watch for events", extra={"watch": source.__name__, "reason": str(error)})
                said = str(error)
                self._ended(after=_AGAIN_SECONDS)

    def _follow(self, source: Source) -> None:
        with source() as events:
            self._changed()  # for what happened before we listened
            while self._end_reader not in select.select([events.descriptor, self._end_reader], [], [])[0]:
                if events.take():
                    self._changed()

    def _ended(self, *, after: float) -> bool:
        """Whether the watch is closed, or will be within so many seconds."""
        return bool(select.select([self._end_reader], [], [], after)[0])
