"""Capabilities of PCI Express, from a function's configuration space (PCI Express Base Specification, 7.5 and 7.6).

Each extended one starts with a dword: capability in bits 0-15, version in 16-19, offset of the next in 20-31. The
others start with two bytes: capability, and offset of the next.
"""

CONVENTIONAL_BYTES = 256
_ATS = 0x000F
_ACS = 0x000D
_CONTROL = 6
_ATS_ENABLE = 1 << 15
_ALL_ONES = 0xFFFFFFFF
#: The first capability's offset; that of PCI Express, its device control word, and the bit in it.
_FIRST, _EXPRESS, _DEVICE_CONTROL, _RELAXED_ORDERING = 0x34, 0x10, 8, 1 << 4
_HEADER_BYTES = 64
_MOST_CONVENTIONAL = (CONVENTIONAL_BYTES - _HEADER_BYTES) // 4
#: A chain of four-byte steps through 4 KiB can't be longer; a longer one is a loop.
_MOST_CAPABILITIES = (4096 - CONVENTIONAL_BYTES) // 4

#: ACS control bits that send traffic between two devices below one switch up to the root: P2P request redirect,
#: P2P completion redirect, upstream forwarding.
ACS_REDIRECT = 1 << 2 | 1 << 3 | 1 << 4


def acs_control(config: bytes) -> int | None:
    """The ACS control word; None where the function has no ACS."""
    offset = _capability(config, _ACS)
    return None if offset is None else _word(config, offset + _CONTROL)


def ats_enabled(config: bytes) -> bool | None:
    """Whether ATS is on; None where the function has none."""
    offset = _capability(config, _ATS)
    return None if offset is None else bool(_word(config, offset + _CONTROL) & _ATS_ENABLE)


def relaxed_ordering(config: bytes) -> bool | None:
    """Whether the function may send with relaxed ordering; None if it is no PCI Express function."""
    offset = config[_FIRST] & 0xFC if len(config) > _FIRST else 0
    for _ in range(_MOST_CONVENTIONAL):
        if offset < _HEADER_BYTES or offset + _DEVICE_CONTROL + 2 > min(len(config), CONVENTIONAL_BYTES):
            return None
        if config[offset] == _EXPRESS:
            return bool(_word(config, offset + _DEVICE_CONTROL) & _RELAXED_ORDERING)
        offset = config[offset + 1] & 0xFC
    return None


def _capability(config: bytes, wanted: int) -> int | None:
    """Where the capability starts."""
    offset = CONVENTIONAL_BYTES
    for _ in range(_MOST_CAPABILITIES):
        header = int.from_bytes(config[offset : offset + 4], "little")
        if header in (0, _ALL_ONES):
            return None
        if header & 0xFFFF == wanted:
            return offset if offset + _CONTROL + 2 <= len(config) else None
        offset = header >> 20
        if offset < CONVENTIONAL_BYTES:
            return None
    return None


def _word(config: bytes, offset: int) -> int:
    return int.from_bytes(config[offset : offset + 2], "little")
