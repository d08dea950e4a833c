"""Writing a file so that a reader sees the old content or the new, and a failure leaves the old."""

import contextlib
import os
import tempfile
from pathlib import Path

from nvtopo.errors import ReadError


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write ``content`` beside ``path``, flush it to the disk and rename it over ``path``.

    Raises:
        ReadError: the directory is missing, read-only or full; ``path`` is as it was.
    """
    try:
        _replace(path, content, mode)
    except OSError as error:
        raise ReadError(f"{path}: {os.strerror(error.errno) if error.errno else error}") from error


def write_output(path: Path, content: bytes) -> None:
    """Write to the file that a user named. A link is followed, and a device or a pipe is written to, never replaced.

    Raises:
        ReadError: as ``replace_file``, or the device takes no more.
    """
    try:
        special = path.exists() and not path.is_file() and not path.is_dir()
        if special:
            path.write_bytes(content)
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}") from error
    if not special:
        replace_file(target, content)


def make_folder(path: Path) -> None:
    """Make a folder, with those that it is in, unless it is there.

    Raises:
        ReadError: it can't be made, or something else has its name.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReadError(f"{error.filename}: {error.strerror}") from error


def _replace(path: Path, content: bytes, mode: int) -> None:
    # A leading dot: NFD and our own fleet readers skip such names, should we die before the rename.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
