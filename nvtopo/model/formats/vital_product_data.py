"""A PCI function's vital product data (PCI Local Bus 3.0, appendix I): tagged blocks of two-letter keywords."""

_LARGE = 0x80
_END = 0x0F << 3
#: Blocks that hold keywords: read-only and read-write.
_KEYWORDS = (0x90, 0x91)
_SHORTEST_KEYWORD = 3


def keyword(data: bytes, name: str) -> str:
    """The value of a keyword such as ``V3``; empty where the data does not have it, or is not vital product data."""
    at = 0
    while at < len(data):
        tag = data[at]
        if tag & ~7 == _END:
            return ""
        header = 3 if tag & _LARGE else 1
        length = int.from_bytes(data[at + 1 : at + 3], "little") if tag & _LARGE else tag & 7
        if tag in _KEYWORDS:
            found = _in_block(data[at + header : at + header + length], name.encode())
            if found:
                return found
        at += header + length
    return ""


def _in_block(block: bytes, name: bytes) -> str:
    at = 0
    while at + _SHORTEST_KEYWORD <= len(block):
        end = at + _SHORTEST_KEYWORD + block[at + 2]
        if block[at : at + 2] == name:
            return block[at + _SHORTEST_KEYWORD : end].decode("ascii", "replace").strip()
        at = end
    return ""
