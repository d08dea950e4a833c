"""Events that mean "read again": PCI, net and RDMA devices by udev, links and addresses by netlink.

The kernel's own uevents are read, since udevd's do not reach a container. An event says that something happened, not
what: the reader below ``/sys`` stays the one source of facts.
"""

import contextlib
import logging
import os
import select
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
        end_reader, end_writer = os.pipe()
        thread = threading.Thread(target=self._read_netlink, args=(end_reader,), name="netlink", daemon=True)
        thread.start()

        def close() -> None:
            os.close(end_writer)
            thread.join()
            os.close(end_reader)

        return close

    def _read_netlink(self, end: int) -> None:
        """The netlink thread: pyroute2 wants its socket made and read in one thread, and a wait that can be ended."""
        from pyroute2 import IPRoute

        try:
            with IPRoute() as netlink:
                netlink.bind()
                self._changed.set()  # for what happened before we listened
                while end not in select.select([netlink, end], [], [])[0]:
                    for _message in netlink.get():
                        self._changed.set()
        except Exception as error:  # noqa: BLE001 - whatever netlink lacks here, the slow pass still runs
            logger.warning("cannot watch for events", extra={"watch": "netlink", "reason": str(error)})
