"""Data center bridging: PFC, DSCP trust and buffers of a network device, by rtnetlink (linux/dcbnl.h, read only)."""

import os
import struct
from typing import Final, NamedTuple

from nvtopo.sources.netlink import Attributes, Netlink, attribute, attributes

_NETLINK_ROUTE: Final = 0
_RTM_GETDCB: Final = 78
#: family, command, padding
_MESSAGE: Final = struct.Struct("=BBH")
_IEEE_GET: Final = 21
_IFNAME, _IEEE = 1, 13
_PFC, _APP_TABLE, _BUFFER = 2, 3, 10
_APP: Final = 1
#: pfc_cap, pfc_en
_PFC_HEAD: Final = struct.Struct("=BB")
#: selector, priority, protocol
_APP_ROW: Final = struct.Struct("=BBH")
_SELECTOR_DSCP: Final = 5
#: prio2buffer, buffer_size
_BUFFERS: Final = struct.Struct("=8B8I")


class Dcb(NamedTuple):
    """What a device's driver says; None and () where it says nothing."""

    pfc: int | None = None
    trusts_dscp: bool | None = None
    buffers_bytes: tuple[int, ...] = ()


def ask(netdev: str, seconds: float) -> Dcb:
    """Ask the kernel about one device.

    Raises:
        OSError: EOPNOTSUPP, the driver has no data center bridging; or the kernel does not answer.
    """
    body = _MESSAGE.pack(0, _IEEE_GET, 0) + attribute(_IFNAME, os.fsencode(netdev) + b"\0")
    with Netlink(_NETLINK_ROUTE, seconds) as kernel:
        return parse(attributes(kernel.ask(_RTM_GETDCB, body)[_MESSAGE.size :]))


def parse(message: Attributes) -> Dcb:
    """The attributes of an answer."""
    ieee = dict(attributes(dict(message).get(_IEEE, memoryview(b""))))
    pfc, table, buffer = ieee.get(_PFC), ieee.get(_APP_TABLE), ieee.get(_BUFFER)
    return Dcb(
        None if pfc is None or len(pfc) < _PFC_HEAD.size else _PFC_HEAD.unpack_from(pfc)[1],
        None if table is None else _SELECTOR_DSCP in _selectors(table),
        () if buffer is None or len(buffer) < _BUFFERS.size else _sizes(_BUFFERS.unpack_from(buffer)),
    )


def _selectors(table: memoryview) -> set[int]:
    rows = (value for kind, value in attributes(table) if kind == _APP and len(value) >= _APP_ROW.size)
    return {_APP_ROW.unpack_from(value)[0] for value in rows}


def _sizes(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Priority → the size of its buffer."""
    of_priority, sizes = numbers[:8], numbers[8:]
    return tuple(sizes[buffer] if buffer < len(sizes) else 0 for buffer in of_priority)
