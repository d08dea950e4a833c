"""Texts that gzip packed, such as ``nvtopo capture - | gzip``; archives are left as they are."""

import zlib
from io import BytesIO
from typing import Final

from nvtopo.errors import ParseError

_MAGIC: Final = b"\x1f\x8b"
_HEAD_BYTES: Final = 4096


def opened(content: bytes, name: str, most: int) -> bytes:
    """The text inside, at most ``most`` bytes; content that is not a packed text comes back unchanged.

    Raises:
        ParseError: the text is larger, or the packed data is cut or damaged.
    """
    if not content.startswith(_MAGIC):
        return content
    try:
        head = zlib.decompressobj(wbits=31).decompress(content, _HEAD_BYTES)
    except zlib.error:
        return content
    if not head or b"\0" in head:
        return content
    text = _unpacked(content, name, most + 1)
    if len(text) > most:
        raise ParseError(f"{name}: expected at most {most >> 20} MiB unpacked, got more")
    return text


def _unpacked(content: bytes, name: str, most: int) -> bytes:
    import gzip  # a start without packed files does not pay for it

    try:
        return gzip.GzipFile(fileobj=BytesIO(content)).read(most)
    except EOFError as error:
        raise ParseError(f"{name}: expected a whole gzip file, got one that is cut; copy it again") from error
    except (OSError, zlib.error) as error:
        raise ParseError(f"{name}: expected a whole gzip file, got a damaged one ({error}); copy it again") from error
