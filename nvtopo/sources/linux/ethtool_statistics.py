"""A network device's own statistics, ``ethtool -S``: SIOCETHTOOL. Unprivileged; live machines only.

Not by pyroute2: the kernel writes as many numbers as the driver has at that moment, however small the caller's buffer
is. A driver gets more statistics when channels or priorities are turned on, so the buffer here has spare room.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_GSTRINGS, _GSTATS, _GSSET_INFO = 0x1B, 0x1D, 0x37
_SS_STATS: Final = 1
_NAME_BYTES: Final = 32
#: Name, and a pointer in a union of 24 bytes.
_IFREQ: Final = struct.Struct("16sP16x")
#: ``struct ethtool_sset_info``, ``ethtool_gstrings``, ``ethtool_stats`` without their variable-length ends.
_SET_INFO, _STRINGS, _STATS = struct.Struct("=IIQI"), struct.Struct("=III"), struct.Struct("=II")
#: Spare room for statistics that a driver gains between two calls.
_SPARE: Final = 4096

Ask = Callable[[bytes, int], bytes]
"""Sends a request and the number of bytes to reserve behind it; returns both as the kernel left them."""


class EthtoolStatistics:
    """Reads selected statistics of network devices, and caches their positions among all of a driver's."""

    def __init__(self, wanted: Callable[[Iterable[str]], tuple[int, ...]]) -> None:
        """``wanted`` returns the positions, among a driver's statistics names, of those to read."""
        self._wanted = wanted
        self._names: dict[tuple[str, int], dict[int, str]] = {}

    def read(self, netdev: str) -> dict[str, int]:
        """Statistic's name → value.

        Raises:
            OSError: ENODEV, EOPNOTSUPP and others: no such device, or it has no statistics.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as kernel:
            return self._read(partial(_ask, kernel, netdev), netdev)

    def _read(self, ask: Ask, netdev: str) -> dict[str, int]:
        count = _count(ask)
        names = self._names.get((netdev, count))
        if names is None:
            everything = _strings(ask, count)
            names = {index: everything[index] for index in self._wanted(everything)}
            self._names = {key: value for key, value in self._names.items() if key[0] != netdev}
            self._names[netdev, count] = names
        if not names:
            return {}
        answer = ask(_STATS.pack(_GSTATS, count), 8 * (count + _SPARE))
        return {name: struct.unpack_from("=Q", answer, _STATS.size + 8 * index)[0] for index, name in names.items()}


def _count(ask: Ask) -> int:
    _, _, known, count = _SET_INFO.unpack_from(ask(_SET_INFO.pack(_GSSET_INFO, 0, 1 << _SS_STATS, 0), 8))
    return int(count) if known else 0


def _strings(ask: Ask, count: int) -> list[str]:
    answer = ask(_STRINGS.pack(_GSTRINGS, _SS_STATS, count), _NAME_BYTES * (count + _SPARE))
    starts = range(_STRINGS.size, _STRINGS.size + _NAME_BYTES * count, _NAME_BYTES)
    return [answer[start : start + _NAME_BYTES].split(b"\0", 1)[0].decode("utf-8", "replace") for start in starts]


def _ask(kernel: socket.socket, netdev: str, question: bytes, room: int) -> bytes:
    buffer = ctypes.create_string_buffer(question, len(question) + room)
    fcntl.ioctl(kernel, _SIOCETHTOOL, _IFREQ.pack(os.fsencode(netdev), ctypes.addressof(buffer)))
    return buffer.raw
