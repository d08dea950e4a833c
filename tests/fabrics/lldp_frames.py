"""LLDP frames, put together by the standard's tables."""

GROUP = bytes.fromhex("0180c200000e")


def tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2) + value


def frame(  # noqa: PLR0913 - what an announcement has
    chassis: bytes = b"\x04" + bytes.fromhex("020000000700"),
    port: bytes = b"swp7",
    ttl: int = 120,
    name: bytes = b"leaf-r0",
    on: int = 1 << 2 | 1 << 4,
    *,
    port_kind: int = 5,
    more: bytes = b"",
) -> bytes:
    """By default of a switch; its port is called by its interface."""
    body = tlv(1, chassis) + tlv(2, bytes([port_kind]) + port) + tlv(3, ttl.to_bytes(2))
    body += tlv(4, b"to gpu07") + tlv(5, name) + tlv(6, b"Some NOS 5.9")
    body += tlv(7, (0xFF).to_bytes(2) + on.to_bytes(2)) + more + tlv(0, b"")
    return GROUP + bytes.fromhex("020000000701") + (0x88CC).to_bytes(2) + body
