"""RDMA resources in use: ``NETLINK_RDMA``, include/uapi/rdma/rdma_netlink.h. Needs no privilege.

Counts of resources are free. Each queue pair, and each counter bound to queue pairs, costs a query to the NIC's
firmware. Programs create thousands of queue pairs, so this module returns only sums.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Final, NamedTuple, Self

from nvtopo.model.samples.rdma_resources import DeviceResources
from nvtopo.sources.netlink import Attributes, Netlink, attribute, attributes

_NETLINK_RDMA: Final = 20
_CLIENT_NLDEV: Final = 5 << 10
_RES_GET, _RES_QP_GET, _STAT_GET = (_CLIENT_NLDEV + command for command in (9, 10, 17))

_DEV_INDEX, _DEV_NAME, _PORT_INDEX = 1, 2, 3
_RES_SUMMARY, _RES_SUMMARY_ENTRY, _RES_SUMMARY_ENTRY_NAME, _RES_SUMMARY_ENTRY_CURR = 15, 16, 17, 18
_RES_QP, _RES_QP_ENTRY, _RES_TYPE, _RES_STATE = 19, 20, 26, 27
_STAT_RES, _STAT_COUNTER, _STAT_COUNTER_ENTRY = 75, 77, 78
_STAT_HWCOUNTERS, _STAT_HWCOUNTER_ENTRY, _STAT_HWCOUNTER_ENTRY_NAME, _STAT_HWCOUNTER_ENTRY_VALUE = 80, 81, 82, 83

#: ``enum rdma_restrack_type``.
RESOURCES: Final = ("pd", "cq", "qp", "cm_id", "mr", "ctx", "counter", "srq")
#: ``enum ib_qp_type`` and ``enum ib_qp_state``, as ``rdma resource show qp`` spells them.
_QP_TYPES: Final = {
    **dict(enumerate(("SMI", "GSI", "RC", "UC", "UD", "RAW_IPV6", "RAW_ETHERTYPE"))),
    8: "RAW_PACKET",
    9: "XRC_INI",
    10: "XRC_TGT",
    255: "DRIVER",
}
_QP_STATES: Final = dict(enumerate(("RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR")))
_OTHER: Final = "other"


class Device(NamedTuple):
    """One device's resources in use."""

    number: int
    """The kernel's number of the device, for further queries."""
    name: str
    resources: dict[str, int]
    """Resource (one of ``RESOURCES``) → how many are in use."""


#: A device with more queue pairs is not queried: that would keep its firmware busy for a tenth of a second.
MOST_QUEUE_PAIRS: Final = 4096


def read(seconds: float, *, queue_pairs: bool) -> tuple[DeviceResources, ...]:
    """Every device's resources; with ``queue_pairs``, also its queue pairs and the counters bound to them.

    Raises:
        OSError: the kernel has no RDMA, or does not answer within ``seconds``.
    """
    with RdmaNetlink(seconds) as kernel:
        found = []
        for device in kernel.devices():
            few = queue_pairs and device.resources.get("qp", 0) <= MOST_QUEUE_PAIRS
            found.append(
                DeviceResources(
                    device.name,
                    device.resources,
                    kernel.queue_pairs(device.number) if few else None,
                    kernel.bound_counters(device.number) if few else None,
                )
            )
        return tuple(found)


class RdmaNetlink:
    """Queries over one socket; raises as ``Netlink`` does."""

    def __init__(self, seconds: float) -> None:
        """``seconds`` limits the wait for each datagram of an answer.

        Raises:
            OSError: the kernel has no RDMA.
        """
        self._netlink = Netlink(_NETLINK_RDMA, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _tb: TracebackType | None) -> None:
        self._netlink.__exit__(None, None, None)

    def devices(self) -> tuple[Device, ...]:
        """Every device with the number of its resources in use."""
        return tuple(device for message in self._dump(_RES_GET) if (device := summary(message)) is not None)

    def queue_pairs(self, device: int) -> Counter[tuple[str, str]]:
        """(type, state) → number of the device's queue pairs."""
        found: Counter[tuple[str, str]] = Counter()
        for message in self._dump(_RES_QP_GET, {_DEV_INDEX: device}):
            found.update(kinds(message))
        return found

    def bound_counters(self, device: int) -> Counter[tuple[int, str, str]]:
        """(port, queue pairs' type, counter) → sum of the counters that ``rdma statistic qp`` bound."""
        found: Counter[tuple[int, str, str]] = Counter()
        for message in self._dump(_STAT_GET, {_DEV_INDEX: device, _STAT_RES: _RES_QP}):
            for key, value in bound(message):
                found[key] += value
        return found

    def _dump(self, command: int, numbers: dict[int, int] | None = None) -> Iterator[Attributes]:
        pairs = (numbers or {}).items()
        body = b"".join(attribute(kind, number.to_bytes(4, sys.byteorder)) for kind, number in pairs)
        for payload in self._netlink.dump(command, body):
            yield attributes(payload)


def summary(message: Attributes) -> Device | None:
    """The device of one answer to RES_GET."""
    own = dict(message)
    number, name = _integer(own.get(_DEV_INDEX)), _text(own.get(_DEV_NAME))
    if number is None or not name:
        return None
    resources = {}
    for entry in _entries(message, _RES_SUMMARY, _RES_SUMMARY_ENTRY):
        fields = dict(entry)
        resource, count = _text(fields.get(_RES_SUMMARY_ENTRY_NAME)), _integer(fields.get(_RES_SUMMARY_ENTRY_CURR))
        if resource in RESOURCES and count is not None:
            resources[resource] = count
    return Device(number, name, resources)


def kinds(message: Attributes) -> Iterator[tuple[str, str]]:
    """Type and state of each queue pair of one answer to RES_QP_GET."""
    for entry in _entries(message, _RES_QP, _RES_QP_ENTRY):
        fields = dict(entry)
        yield _named(_QP_TYPES, fields.get(_RES_TYPE)), _named(_QP_STATES, fields.get(_RES_STATE))


def bound(message: Attributes) -> Iterator[tuple[tuple[int, str, str], int]]:
    """Port, queue pairs' type, counter's name; and its value, of one answer to STAT_GET.

    A counter that was bound by hand or by process ID has no type.
    """
    for entry in _entries(message, _STAT_COUNTER, _STAT_COUNTER_ENTRY):
        fields = dict(entry)
        port, kind = _integer(fields.get(_PORT_INDEX)) or 0, _named(_QP_TYPES, fields.get(_RES_TYPE))
        for counter in _entries(entry, _STAT_HWCOUNTERS, _STAT_HWCOUNTER_ENTRY):
            own = dict(counter)
            name, value = _text(own.get(_STAT_HWCOUNTER_ENTRY_NAME)), _integer(own.get(_STAT_HWCOUNTER_ENTRY_VALUE))
            if name and value is not None:
                yield (port, kind, name), value


def _entries(message: Attributes, table: int, row: int) -> Iterator[Attributes]:
    for rows in (value for kind, value in message if kind == table):
        yield from (attributes(value) for kind, value in attributes(rows) if kind == row)


def _named(names: dict[int, str], value: memoryview | None) -> str:
    number = _integer(value)
    return _OTHER if number is None else names.get(number, _OTHER)


def _text(value: memoryview | None) -> str:
    return "" if value is None else bytes(value).rstrip(b"\0").decode("utf-8", "replace")


def _integer(value: memoryview | None) -> int | None:
    return None if value is None else int.from_bytes(value, sys.byteorder)
