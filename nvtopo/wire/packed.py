"""Texts that gzip packed, such as ``nvtopo capture - | gzip``; archives are left as they are."""

import zlib
from typing import Final

from nvtopo.errors import ParseError

_MAGIC: Final = b"\x1f\x8b"
_HEAD: Final = 4096


def opened(content: bytes, name: str, most: int) -> bytes:
    """The text inside, at most ``most`` bytes; what is no packed text as it is. One that is cut ends where it is cut.

    Raises:
        ParseError: it is larger.
    """
    if not content.startswith(_MAGIC):
        return content
    unpacker = zlib.decompressobj(wbits=31)
    try:
        head = unpacker.decompress(content, _HEAD)
        if not head or b"\0" in head:
            return content
        text = head + unpacker.decompress(unpacker.unconsumed_tail, most)
    except zlib.error:
        return content
    if len(text) > most or (unpacker.unconsumed_tail and not unpacker.eof):
        raise ParseError(f"{name}: expected at most {most >> 20} MiB unpacked, got more")
    return text
