"""Files and folders on the command line.

What is not there, or is of another kind, can't be read or written: exit code 3, as for all that the machine refuses.
"""

import errno
import os
import stat
from typing import Any

import click

from nvtopo.errors import ReadError


class FilePath(click.Path):
    """As click's, for which such a path is wrong usage. What may not be read is left to who reads it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(readable=False, **given)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.

        Raises:
            ReadError: there is nothing, or a folder in place of a file, or the reverse.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            subject = os.fsdecode(value) or "''"
            raise ReadError(f"{subject}: {os.strerror(_why(value))}") from None


def _why(path: "str | os.PathLike[str]") -> int:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib costs the start
    except OSError as error:
        return error.errno or errno.ENOENT
    return errno.EISDIR if stat.S_ISDIR(mode) else errno.ENOTDIR
