"""Capture files: a snapshot as JSON, written by ``nvtopo capture``."""

from pathlib import Path

from nvtopo.errors import ParseError
from nvtopo.model.records.snapshot import VERSION, Snapshot
from nvtopo.wire import packed
from nvtopo.wire.documents import MOST_BYTES, Json
from nvtopo.wire.files import read_file

#: The capture of a node with a thousand PCI functions is smaller than a megabyte.
_LARGEST_BYTES = MOST_BYTES
#: What editors of Windows put before JSON.
_MARK = b"\xef\xbb\xbf"
_SNAPSHOT = Json(Snapshot, "a capture (JSON by `nvtopo capture`)")


def read_capture(path: Path | str) -> Snapshot:
    """The snapshot in the file; ``-`` is standard input.

    Raises:
        ReadError: the file can't be read.
        ParseError: it is not a capture.
    """
    return parse_capture(read_input(path), str(path))


def read_input(path: Path | str) -> bytes:
    """The whole file, or standard input, unpacked if gzip packed it.

    Raises:
        ReadError: it can't be read, is no file, or is too large.
    """
    content = packed.opened(read_file(path, _LARGEST_BYTES), str(path), _LARGEST_BYTES)
    return content[len(_MARK) :] if content.startswith(_MARK + b"{") else content


def is_capture(content: bytes) -> bool:
    """Whether the content claims to be a capture: JSON with the field ``capture``."""
    return content.lstrip()[:1] == b"{" and b'"capture"' in content


def parse_capture(content: bytes, name: str) -> Snapshot:
    """The snapshot in ``content``; ``name`` says where it came from.

    Raises:
        ParseError: the content is not JSON, not a capture, or a capture of an unknown version.
    """
    snapshot = _SNAPSHOT.read(content, name)
    if snapshot.capture != VERSION:
        got = snapshot.capture or "none"
        raise ParseError(f"{name}: expected a capture of version {VERSION} (field 'capture'), got {got}")
    return snapshot
