"""Files that the command line names: read whole, within a bound, and never waited for."""

import errno
import os
import stat
import sys
from typing import Final

from nvtopo.errors import ReadError

STANDARD_INPUT: Final = "-"
_PIECE_BYTES: Final = 1 << 20
#: Where a shell puts the output of a command that stands for a file: ``<(nvidia-smi topo -m)``.
_OF_SHELLS: Final = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def read_file(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The content; ``-`` is standard input.

    Raises:
        ReadError: it can't be read, is no file, or is larger than ``most_bytes``.
    """
    name = os.fspath(path)
    try:
        content = _standard_input(most_bytes) if name == STANDARD_INPUT else _content(name, most_bytes)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise ReadError(f"{name}: {why}") from error
    if len(content) > most_bytes:
        raise ReadError(f"{name}: expected a file of at most {_size(most_bytes)}, got a larger one")
    return content


def _standard_input(most_bytes: int) -> bytes:
    if sys.stdin is None:  # started with it closed
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdin.buffer.read(most_bytes + 1)


def _content(name: str, most_bytes: int) -> bytes:
    """Opened only if it is a file: opening a FIFO waits for who writes, and opening a device can start something."""
    of_shell = name.startswith(_OF_SHELLS)
    if not of_shell:
        _refuse_others(name, os.stat(name).st_mode)  # noqa: PTH116 - pathlib costs a start's time
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | (0 if of_shell else os.O_NONBLOCK))
    try:
        status = os.fstat(descriptor)
        if not of_shell:
            _refuse_others(name, status.st_mode)
        if status.st_size > most_bytes:
            raise ReadError(f"{name}: expected a file of at most {_size(most_bytes)}, got {status.st_size} bytes")
        pieces, left = [], most_bytes + 1
        while left > 0 and (piece := os.read(descriptor, min(_PIECE_BYTES, left))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def refuse_what_is_no_file(path: str) -> None:
    """For a file that somebody else opens; one that is missing is theirs to complain of.

    Raises:
        ReadError: it is a FIFO, a device, a socket or a directory.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib costs a start's time
    except (OSError, ValueError):
        return
    _refuse_others(path, mode)


def _refuse_others(name: str, mode: int) -> None:
    for is_one, kind in _KINDS:
        if is_one(mode):
            raise ReadError(f"{name}: expected a file, got {kind}")


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"
