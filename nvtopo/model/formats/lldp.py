"""LLDP's frames (IEEE 802.1AB): what a neighbour says of itself."""

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

ETHERTYPE: Final = 0x88CC
#: Ethernet's destination, source and type.
_HEAD: Final = struct.Struct("!6s6sH")
_MOST_BYTES: Final = 9216
_MOST_TLVS: Final = 256
_END, _CHASSIS, _PORT, _TTL, _PORT_DESCRIPTION, _NAME, _SYSTEM, _CAPABILITIES = range(8)
_CHASSIS_KINDS: Final = {1: "component", 2: "ifalias", 3: "port", 4: "mac", 5: "ip", 6: "ifname", 7: "local"}
_PORT_KINDS: Final = {1: "ifalias", 2: "component", 3: "mac", 4: "ip", 5: "ifname", 6: "circuit", 7: "local"}
_CAPABILITY_NAMES: Final = ("other", "repeater", "bridge", "wlan", "router", "telephone", "docsis", "station")
_MAC_BYTES: Final = 6
_CAPABILITIES_BYTES: Final = 4
#: Family of an address → its bytes.
_ADDRESS_BYTES: Final = {1: 4, 2: 16}


class Id(NamedTuple):
    """What a chassis or a port is known by."""

    kind: str
    """``mac``, ``ifname``, ``local``, …"""
    value: str


class Frame(NamedTuple):
    """One announcement."""

    chassis: Id
    port: Id
    ttl_seconds: int
    """How long it holds; 0 takes back what was said."""
    name: str = ""
    system: str = ""
    port_description: str = ""
    capabilities: tuple[str, ...] = ()
    """Those that are on."""


def frame_in(frame: bytes) -> Frame:
    """What an Ethernet frame says.

    Raises:
        ValueError: it is no LLDP frame; the message says what was expected.
    """
    if len(frame) < _HEAD.size or len(frame) > _MOST_BYTES or _HEAD.unpack_from(frame)[2] != ETHERTYPE:
        raise ValueError(f"expected an Ethernet frame of type 0x{ETHERTYPE:04x}, got another of {len(frame)} bytes")
    told: dict[int, bytes] = {}
    for at, (kind, value) in enumerate(_tlvs(frame[_HEAD.size :])):
        if at < _TTL and kind != at + 1:
            raise ValueError("expected chassis ID, port ID and time to live first")
        told.setdefault(kind, value)
    if _TTL not in told:
        raise ValueError("expected chassis ID, port ID and time to live")
    if len(told[_TTL]) < 2:  # noqa: PLR2004 - a number of two bytes
        raise ValueError("expected a time to live of two bytes")
    return Frame(
        chassis=_id(told[_CHASSIS], _CHASSIS_KINDS),
        port=_id(told[_PORT], _PORT_KINDS),
        ttl_seconds=int.from_bytes(told[_TTL][:2]),
        name=_text(told.get(_NAME, b"")),
        system=_text(told.get(_SYSTEM, b"")),
        port_description=_text(told.get(_PORT_DESCRIPTION, b"")),
        capabilities=_capabilities(told.get(_CAPABILITIES, b"")),
    )


def _tlvs(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each, to the end that says so, or that of the frame: some leave the last one out."""
    at = count = 0
    while at + 2 <= len(body):
        head = int.from_bytes(body[at : at + 2])
        kind, length = head >> 9, head & 0x1FF
        if kind == _END:
            return
        count += 1
        if at + 2 + length > len(body) or count > _MOST_TLVS:
            raise ValueError("expected values within the frame, got one that is cut")
        yield kind, body[at + 2 : at + 2 + length]
        at += 2 + length


def _id(value: bytes, kinds: dict[int, str]) -> Id:
    if len(value) < 2:  # noqa: PLR2004 - its kind, and at least one byte
        raise ValueError("expected an ID with its kind, got an empty one")
    kind, rest = kinds.get(value[0], f"kind-{value[0]}"), value[1:]
    if kind == "mac" and len(rest) == _MAC_BYTES:
        return Id(kind, rest.hex(":"))
    if kind == "ip" and len(rest) == 1 + _ADDRESS_BYTES.get(rest[0], -1):
        return Id(kind, str(ip_address(rest[1:])))
    text = _text(rest)
    return Id(kind, text if text and "\ufffd" not in text else rest.hex(":"))


def _text(value: bytes) -> str:
    """Its text, on one line: what no terminal should be given is replaced."""
    text = " ".join(value.decode("utf-8", "replace").replace("\0", " ").split())
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def _capabilities(value: bytes) -> tuple[str, ...]:
    if len(value) < _CAPABILITIES_BYTES:
        return ()
    on = int.from_bytes(value[2:4])
    return tuple(name for bit, name in enumerate(_CAPABILITY_NAMES) if on & 1 << bit)
