"""``ibv_devinfo``, also with ``-v``: RDMA devices, their ports' states and MTUs; rates with ``-v`` alone."""

import re
from typing import Final

from nvtopo.model.records.facts import RdmaDevice, RdmaPort
from nvtopo.model.records.node import NodeTopology
from nvtopo.sources.foreign import rdma_node
from nvtopo.sources.foreign.given import Given, Notes

SOURCE: Final = "ibv_devinfo"
_DEVICE: Final = re.compile(r"hca_id:\s{1,40}([A-Za-z0-9_.-]{1,64})\s*")
_PORT: Final = re.compile(r"\s*port:\s{1,40}([0-9]{1,3})\s*")
_FIELD: Final = re.compile(r"\s*([a-z_]{1,40}):\s{1,60}(.{1,100})")
_NUMBER: Final = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?)")
_MOST_FIELDS: Final = 96
_GIGABIT: Final = 1_000_000_000 // 8

Fields = dict[str, str]


def looks_like(given: Given) -> bool:
    """Whether a device's line is in the text."""
    return "hca_id:" in given.text and any(_DEVICE.fullmatch(line) for line in given.lines)


def read(given: Given) -> NodeTopology:
    """The node that has these devices.

    Raises:
        ParseError: it names more devices than a node has.
    """
    notes = Notes(SOURCE)
    about: dict[str, Fields] = {}
    ports: dict[str, dict[int, Fields]] = {}
    name, current = "", Fields()
    for line in given.lines:
        device, port, field = _DEVICE.fullmatch(line), _PORT.fullmatch(line), _FIELD.match(line[:200])
        if device is not None:
            name = device[1]
            current = about.setdefault(name, {})
        elif port is not None and name:
            current = ports.setdefault(name, {}).setdefault(int(port[1]), {})
        elif field is not None and name and len(current) < _MOST_FIELDS:
            current.setdefault(field[1], field[2].strip())
    devices = (_device(name, fields, ports.get(name, {}), notes) for name, fields in about.items())
    return rdma_node.node(tuple(devices), SOURCE, given, notes)


def _device(name: str, fields: Fields, ports: dict[int, Fields], notes: Notes) -> RdmaDevice:
    count = fields.get("phys_port_cnt", "")
    if not count.isdecimal() or int(count[:4]) != len(ports):
        notes.add(
            name, f"has {count[:4] or 'an unknown number of'} ports, {len(ports)} are described: the input is cut"
        )
    return RdmaDevice(
        name=name,
        node_guid=fields.get("node_guid", ""),
        firmware=fields.get("fw_ver", ""),
        psid=fields.get("board_id", ""),
        ports=tuple(_port(number, port) for number, port in sorted(ports.items())),
    )


def _port(number: int, fields: Fields) -> RdmaPort:
    """``PORT_ACTIVE (4)``, ``4096 (5)``; with ``-v`` ``active_width: 4X (2)``, ``active_speed: 100.0 Gbps (128)``."""
    return RdmaPort(
        number=number,
        state=fields.get("state", "").partition(" ")[0].removeprefix("PORT_"),
        physical_state=fields.get("phys_state", "").partition(" ")[0],
        link_layer=fields.get("link_layer", ""),
        rate_bytes_per_second=_rate(fields),
        active_mtu_bytes=round(mtu) if (mtu := _number(fields.get("active_mtu", ""))) else None,
    )


def _rate(fields: Fields) -> int | None:
    width, speed = _number(fields.get("active_width", "")), _number(fields.get("active_speed", ""))
    return round(width * speed * _GIGABIT) or None if width and speed else None


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[1]) if match else None
