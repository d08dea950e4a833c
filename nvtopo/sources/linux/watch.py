"""Events that mean "read again": PCI, net and RDMA devices by udev, links and addresses by netlink.

It reads the kernel's uevents, because udevd's do not reach a container. An event carries no fact: it only triggers a
new reading of ``/sys``.
"""

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Self

from nvtopo.sources.linux.links import GROUPS, Links
from nvtopo.sources.netlink import messages

logger = logging.getLogger(__name__)

SUBSYSTEMS: Final = ("pci", "net", "infiniband", "nvme")
#: Links of pods and tunnels, as ``links`` leaves them out of netlink.
_VIRTUAL: Final = "/sys/devices/virtual/net/"
#: Virtual links that physical ones are part of, as uevents call them.
_OF_PHYSICAL: Final = ("bond", "bridge", "vlan")
_DATAGRAM_BYTES: Final = 1 << 16
#: Pause after a watcher failed; a burst that overflows its socket counts as a failure.
_AGAIN_SECONDS: Final = 5.0


class Events(NamedTuple):
    """An open source of events."""

    descriptor: Any
    """An object with a ``fileno`` to wait for."""
    take: Callable[[], bool]
    """Reads the pending events; returns whether one of them matters."""


OpenEvents = Callable[[], contextlib.AbstractContextManager[Events]]


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
    """Links, their addresses, and the default route."""
    links = Links()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as events:
        events.bind((0, GROUPS))
        links.learn()

        def take() -> bool:
            datagram = memoryview(events.recv(_DATAGRAM_BYTES))
            return any([links.is_news(kind, payload) for kind, _, payload in messages(datagram)])  # noqa: C419

        yield Events(events, take)


class DeviceWatch:
    """Calls ``changed`` on every event until it is closed. Logs a source that can't be watched; polling covers it."""

    def __init__(self, changed: Callable[[], None], sources: tuple[OpenEvents, ...] = (udev, netlink)) -> None:
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

    def _watch(self, source: OpenEvents) -> None:
        """Watch one source, in its own thread."""
        said = None
        while not self._ended(after=0):
            try:
                self._follow(source)
            except Exception as error:  # noqa: BLE001 - whatever a watcher lacks here, the slow pass still runs
                if str(error) != said:
                    logger.warning("cannot watch for events", extra={"watch": source.__name__, "reason": str(error)})
                said = str(error)
                self._ended(after=_AGAIN_SECONDS)

    def _follow(self, source: OpenEvents) -> None:
        with source() as events:
            self._changed()  # for events before we listened
            while self._end_reader not in select.select([events.descriptor, self._end_reader], [], [])[0]:
                if events.take():
                    self._changed()

    def _ended(self, *, after: float) -> bool:
        """Wait ``after`` seconds; return whether the watch was closed meanwhile."""
        return bool(select.select([self._end_reader], [], [], after)[0])
