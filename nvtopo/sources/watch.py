"""Events that mean "read again": PCI, net and RDMA devices by udev, links and addresses by netlink.

The kernel's own uevents are read, since udevd's do not reach a container. An event says that something happened, not
what: the reader below ``/sys`` stays the one source of facts.
"""

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

logger = logging.getLogger(__name__)

SUBSYSTEMS: Final = ("pci", "net", "infiniband", "nvme")
#: After a watcher broke, which a burst that overflows its socket does too.
_AGAIN_SECONDS: Final = 5.0

Source = Callable[[], contextlib.AbstractContextManager[tuple[Any, Callable[[], object]]]]
"""Opens what can be waited for (it has a ``fileno``), with what takes the events that have come."""


@contextlib.contextmanager
def udev() -> Iterator[tuple[Any, Callable[[], object]]]:
    """Uevents of the kernel."""
    import pyudev

    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
    for subsystem in SUBSYSTEMS:
        monitor.filter_by(subsystem)
    monitor.start()
    yield monitor, lambda: monitor.poll(timeout=0)


@contextlib.contextmanager
def netlink() -> Iterator[tuple[Any, Callable[[], object]]]:
    """Links, addresses, routes."""
    from pyroute2 import IPRoute

    with IPRoute() as socket:
        socket.bind()
        yield socket, lambda: list(socket.get())


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
        with source() as (events, take):
            self._changed()  # for what happened before we listened
            while self._end_reader not in select.select([events, self._end_reader], [], [])[0]:
                take()
                self._changed()

    def _ended(self, *, after: float) -> bool:
        """Whether the watch is closed, or will be within so many seconds."""
        return bool(select.select([self._end_reader], [], [], after)[0])
