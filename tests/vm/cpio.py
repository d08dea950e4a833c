"""Archives in the one form that the kernel unpacks at boot (cpio, ``newc``)."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TRAILER: Final = "TRAILER!!!"
#: The kernel goes on to a second archive only where it begins at such a boundary.
_BLOCK: Final = 512


def archive(files: Mapping[str, bytes], executable: frozenset[str] = frozenset()) -> bytes:
    """The files, and the directories they need, by their paths without a leading slash."""
    directories = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in sorted(directories)]
    entries += [
        (name, stat.S_IFREG | (0o755 if name in executable else 0o644), content)
        for name, content in sorted(files.items())
    ]
    whole = b"".join(_entry(number, *entry) for number, entry in enumerate((*entries, (_TRAILER, 0, b"")), start=1))
    return _padded(whole, _BLOCK)


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    path = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (two), special device (two), name's size, checksum
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _padded(header + path, 4) + _padded(content, 4)


def _padded(content: bytes, boundary: int) -> bytes:
    return content + bytes(-len(content) % boundary)
