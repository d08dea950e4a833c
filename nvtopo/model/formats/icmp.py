"""Echo requests of ICMP and ICMPv6, and what answers them (RFC 792, RFC 4443)."""

import struct
from typing import Final

#: Before the payload.
HEADER_BYTES: Final = 8
_REQUEST: Final = {4: 8, 6: 128}
_REPLY: Final = {4: 0, 6: 129}
_FIELDS: Final = struct.Struct("!BBHHH")
_WORD_BITS: Final = 16


def request(version: int, identifier: int, sequence: int, payload_bytes: int) -> bytes:
    """An echo request; the kernel computes the checksum of ICMPv6, which depends on addresses."""
    payload = bytes(payload_bytes)
    kind = _REQUEST[version]
    bare = _FIELDS.pack(kind, 0, 0, identifier, sequence)
    checksum = _checksum(bare + payload) if version == 4 else 0  # noqa: PLR2004 - IPv4
    return _FIELDS.pack(kind, 0, checksum, identifier, sequence) + payload


def answers(message: bytes, version: int, identifier: int | None, sequence: int) -> bool:
    """Whether the message is the reply to that request; None if the kernel has compared the identifier."""
    if len(message) < HEADER_BYTES:
        return False
    kind, _, _, its_identifier, its_sequence = _FIELDS.unpack_from(message)
    mine = identifier is None or identifier == its_identifier
    return bool(kind == _REPLY[version] and its_sequence == sequence and mine)


def _checksum(message: bytes) -> int:
    """The ones' complement of the sum of all words."""
    padded = message + bytes(len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> _WORD_BITS:
        total = (total & 0xFFFF) + (total >> _WORD_BITS)
    return ~total & 0xFFFF
