"""Events that mean "read again": PCI, net and RDMA devices by udev, links and addresses by netlink.

The kernel's own uevents are read, since udevd's do not reach a container. An event says that something happened, not
what: the reader below ``/sys`` stays the one source of facts.
"""

import contextlib
import logging
import threading
from typing import Any, Self

logger = logging.getLogger(__name__)

SUBSYSTEMS = ("pci", "net", "infiniband", "nvme")


class Watch:
    """Sets ``changed`` on every event until it is closed. What can't be watched is logged, and polling remains."""

    def __init__(self, changed: threading.Event) -> None:
        self._changed = changed
        self._closers = [self._udev, self._netlink]
        self._open: list[Any] = []

    def __enter__(self) -> Self:
        for start in self._closers:
            try:
                self._open.append(start())
            except Exception as error:  # noqa: BLE001 - whatever a watcher lacks here, the slow pass still runs
                logger.warning("cannot watch for events", extra={"watch": start.__name__[1:], "reason": str(error)})
        return self

    def __exit__(self, *_: object) -> None:
        for close in self._open:
            with contextlib.suppress(Exception):
                close()

    def _udev(self) -> Any:
        import pyudev

        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
        for subsystem in SUBSYSTEMS:
            monitor.filter_by(subsystem)
        observer = pyudev.MonitorObserver(monitor, callback=lambda _device: self._changed.set(), name="udev")
        observer.start()
        return observer.stop

    def _netlink(self) -> Any:
        from pyroute2 import IPRoute

        netlink = IPRoute()
        netlink.bind()
        stop = threading.Event()
        thread = threading.Thread(target=self._read_netlink, args=(netlink, stop), name="netlink", daemon=True)
        thread.start()

        def close() -> None:
            stop.set()
            netlink.close()
            thread.join(timeout=2)

        return close

    def _read_netlink(self, netlink: Any, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                for _message in netlink.get():
                    self._changed.set()
            except Exception as error:  # noqa: BLE001 - closing the socket ends the wait in several ways
                if not stop.is_set():
                    logger.warning("netlink events ended", extra={"reason": str(error)})
                return
