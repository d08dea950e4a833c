"""Archives unpacked into memory, within bounds: tar, plain or packed, and node_exporter's text archives (ttar)."""

import bz2
import lzma
import tarfile
import zlib
from io import BytesIO
from typing import Final, Protocol

from nvtopo.sources.foreign.given import Given
from nvtopo.sources.foreign.sysfs_tree import Content

#: A gather tarball of a large machine holds 12,000 files and unpacks to less than 40 MiB.
_MOST_MEMBERS = 100_000
_LARGEST = 128 << 20
_LARGEST_FILE = 1 << 20
_LONGEST_PATH = 1024
_TAR_MAGIC: Final = slice(257, 262)
_BLOCK: Final = 512
_TTAR_LINE = b"# ttar - - "
_PROBLEMS = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, RecursionError, KeyError, IndexError)


class _Unpacker(Protocol):
    """What the decompressors of bz2, lzma and zlib have in common."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def is_archive(given: Given) -> bool:
    """Whether the bytes are an archive, packed or not."""
    return _unpacker(given.content) is not None or given.content[_TAR_MAGIC] == b"ustar" or is_text_archive(given)


def is_text_archive(given: Given) -> bool:
    """Whether it is one of node_exporter's."""
    return _TTAR_LINE in given.content[:4096] or given.content.startswith(b"# Archive created by ttar")


def unpacked(given: Given) -> Content:
    """Its files and links.

    Raises:
        ParseError: it is larger than any recorded machine, or nothing in it can be read.
    """
    if is_text_archive(given):
        return _text_archive(given)
    tar, cut = _plain(given)
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=BytesIO(tar), mode="r:") as archive:
            _collect(archive, files, links)
    except _PROBLEMS as error:
        cut = cut or f"{type(error).__name__}: {error}"
    if tar[-_BLOCK:].strip(b"\0"):
        cut = cut or "it has no end mark"
    if not files and not links:
        raise given.refused(f"packed data without files ({cut or 'an empty archive'})", "an archive")
    if len(files) + len(links) >= _MOST_MEMBERS:
        raise given.refused(f"more than {_MOST_MEMBERS} files", "an archive of one machine's /sys")
    return Content(files, links, cut)


def _unpacker(content: bytes) -> _Unpacker | None:
    if content.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(wbits=31)
    if content.startswith(b"BZh"):
        return bz2.BZ2Decompressor()
    if content.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMADecompressor(memlimit=_LARGEST)
    return None


def _plain(given: Given) -> tuple[bytes, str | None]:
    """The tar itself, and why it is cut."""
    unpacker = _unpacker(given.content)
    if unpacker is None:
        return given.content, None
    try:
        plain = unpacker.decompress(given.content, _LARGEST)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise given.refused(f"damaged packed data ({error})", "an archive") from error
    if len(plain) >= _LARGEST:
        raise given.refused(f"more than {_LARGEST >> 20} MiB unpacked", "an archive of one machine's /sys")
    return plain, None if unpacker.eof else "the packed data ends in the middle"


def _collect(archive: tarfile.TarFile, files: dict[str, bytes], links: dict[str, str]) -> None:
    for member in archive:
        path = _path(member.name)
        if path is None:
            continue
        if member.issym():
            links[path] = member.linkname[:_LONGEST_PATH]
        elif member.isreg() and not member.issparse():
            opened = archive.extractfile(member)
            files[path] = opened.read(_LARGEST_FILE) if opened else b""
        if len(files) + len(links) >= _MOST_MEMBERS:
            return


def _path(name: str) -> str | None:
    """A member's path in one spelling; None for one that leads outside."""
    parts = [part for part in name[:_LONGEST_PATH].split("/") if part not in ("", ".")]
    return None if not parts or ".." in parts else "/".join(parts)


def _text_archive(given: Given) -> Content:
    """``Path:`` with ``Lines:`` and the lines, or with ``SymlinkTo:``."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    lines = given.raw_lines
    path: str | None = None
    position, cut = 0, None
    while position < len(lines) and len(files) + len(links) < _MOST_MEMBERS:
        title, _, value = lines[position].partition(": ")
        position += 1
        if title == "Path":
            path = _path(value)
        elif title == "SymlinkTo" and path:
            links[path] = value[:_LONGEST_PATH]
        elif title == "Lines" and path and value.isdecimal():
            count = int(value[:9])
            cut = cut if position + count <= len(lines) else f"{path} is cut"
            files[path] = "\n".join(lines[position : position + count]).encode()[:_LARGEST_FILE]
            position += count
    return Content(files, links, cut)
