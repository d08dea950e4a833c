"""Counters and state of RDMA ports at one moment: ``/sys/class/infiniband/<device>/ports/<n>``.

Each read may query the NIC's firmware, which may not answer: the caller must set a deadline.
"""

import errno
import os
import time
from collections.abc import Callable, Sequence

from nvtopo.model.samples.rdma_counters import DeviceReading, PortReading, watched
from nvtopo.sources.rdma.devices import rate, word
from nvtopo.sources.sysfs import SysfsReader, SysfsRoot

NAME = "rdma-counters"

_CLASS = "/sys/class/infiniband"
_NET_CLASS = "/sys/class/net"
_FOLDERS = ("counters", "hw_counters")
#: The driver's error for a counter that it does not have. Firmware logs each such query, so we wait before the next.
_REFUSALS = frozenset({errno.EINVAL, errno.EOPNOTSUPP})
_ASK_AGAIN_SECONDS = 600.0
#: After this many refusals without an answer the device is taken for a board's management function, whose firmware
#: refuses all counters. Its VPD would identify it, but only root can read that.
_REFUSES_ALL = 4
#: The device or its port disappeared while it was read.
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO})
_BITS = 64


class CounterReader:
    """Reads devices one at a time, and remembers the files that refuse."""

    def __init__(self, root: SysfsRoot, *, traffic: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Without ``traffic``, the counters of bytes and packets are not read."""
        self._root = root
        self._watched = watched(traffic=traffic)
        self._clock = clock
        self._refused: dict[str, float] = {}
        """Path → when to ask again."""

    def read(self, device: str, ports: Sequence[int]) -> DeviceReading:
        """The device's current ports; ports that disappeared are left out."""
        reader = SysfsReader(self._root, NAME)
        found = [port for number in ports if (port := self._port(reader, device, number)) is not None]
        return DeviceReading(name=device, ports=tuple(found), unreadable=bool(reader.problems))

    def _port(self, reader: SysfsReader, device: str, number: int) -> PortReading | None:
        path = f"{_CLASS}/{device}/ports/{number}"
        state = word(reader.text(f"{path}/state"))
        if not state:
            return None
        return PortReading(
            number=number,
            state=state,
            physical_state=word(reader.text(f"{path}/phys_state")),
            rate_bytes_per_second=rate(reader, f"{path}/rate"),
            counters=self._counters(reader, path),
            carrier_down=_carrier_down(reader, path),
        )

    def _counters(self, reader: SysfsReader, path: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for folder in _FOLDERS:
            found |= self._folder(reader, path, folder)
        return found

    def _folder(self, reader: SysfsReader, path: str, folder: str) -> dict[str, int]:
        """The counters of one directory. If it begins with nothing but refusals, the rest is not read."""
        found: dict[str, int] = {}
        refused = 0
        for file in (f"{folder}/{name}" for name in reader.names(f"{path}/{folder}")):
            if file in self._watched and refused < _REFUSES_ALL:
                count = self._count(reader, f"{path}/{file}")
                if count is not None:
                    found[file] = count
                elif not found:
                    refused += f"{path}/{file}" in self._refused
        return found

    def _count(self, reader: SysfsReader, path: str) -> int | None:
        if self._clock() < self._refused.get(path, 0.0):
            return None
        try:
            text = self._root.read(path).strip()
        except OSError as error:
            if error.errno in _REFUSALS:
                self._refused[path] = self._clock() + _ASK_AGAIN_SECONDS
            elif error.errno not in _GONE:
                reader.problem(path, os.strerror(error.errno or 0))
            return None
        if text.isdigit() and (count := int(text)) < 1 << _BITS:
            return count
        if not text.startswith(b"N/A"):  # older kernels, for a NIC without such counters
            reader.problem(path, f"expected a number, got {text[:40]!r}")
        return None


def _carrier_down(reader: SysfsReader, path: str) -> int | None:
    """The port's ``carrier_down_count``; None for InfiniBand, whose GIDs belong to no network device."""
    netdev = reader.text(f"{path}/gid_attrs/ndevs/0")
    return reader.integer(f"{_NET_CLASS}/{netdev}/carrier_down_count") if netdev else None
