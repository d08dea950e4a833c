"""Capture files: a snapshot as JSON, written by ``nvtopo capture``."""

import os
import sys
from pathlib import Path

import msgspec

from nvtopo.errors import ParseError, ReadError
from nvtopo.model.snapshot import VERSION, Snapshot

#: A node with a thousand PCI functions captures to less than a megabyte.
_LARGEST_BYTES = 64 << 20
STANDARD_INPUT = "-"


def read_capture(path: Path | str) -> Snapshot:
    """The snapshot in the file; ``-`` is standard input.

    Raises:
        ReadError: the file can't be read.
        ParseError: it is not a capture.
    """
    return parse_capture(read_input(path), str(path))


def read_input(path: Path | str) -> bytes:
    """The whole file, or standard input.

    Raises:
        ReadError: it can't be read, or is larger than anything we read.
    """
    try:
        with sys.stdin.buffer if str(path) == STANDARD_INPUT else Path(path).open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ReadError(f"{path}: {os.strerror(error.errno) if error.errno else error}") from error
    if len(content) > _LARGEST_BYTES:
        raise ReadError(f"{path}: larger than {_LARGEST_BYTES >> 20} MiB, which no capture is")
    return content


def is_capture(content: bytes) -> bool:
    """Whether the content claims to be a capture: JSON with the field ``capture``."""
    return content.lstrip()[:1] == b"{" and b'"capture"' in content


def parse_capture(content: bytes, name: str) -> Snapshot:
    """The snapshot in ``content``; ``name`` says where it came from.

    Raises:
        ParseError: it is not JSON, not a capture, or a capture of a version that we do not know.
    """
    try:
        snapshot = msgspec.json.decode(content, type=Snapshot)
    except msgspec.DecodeError as error:
        raise ParseError(f"{name}: expected a capture (JSON by `nvtopo capture`): {error}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"{name}: expected a capture (JSON by `nvtopo capture`), got other bytes") from error
    if snapshot.capture != VERSION:
        raise ParseError(f"{name}: expected a capture of version {VERSION} (field 'capture'), got {snapshot.capture}")
    return snapshot
