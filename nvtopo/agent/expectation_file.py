"""A file that says what machines should have. It is read again when it changes, and never ends the agent."""

import errno
import stat
from pathlib import Path
from typing import Final

from nvtopo.errors import ParseError, ReadError
from nvtopo.findings.expectation import Expectations, expectations_in
from nvtopo.model.formats import limits
from nvtopo.model.formats.printable import printable
from nvtopo.model.records.record import Problem
from nvtopo.wire.files import read_file

SOURCE: Final = "expectations"
#: A ConfigMap is smaller.
_MOST_BYTES: Final = 1 << 20
_MOST_CHARACTERS: Final = 200


class ExpectationFile:
    """What the file says, as far as it could be read. A version that can't be read leaves the one before in force."""

    def __init__(self, path: Path, *, optional: bool = False) -> None:
        """``optional``: a file that is not there says nothing, and that is no problem."""
        self._path = path
        self._optional = optional
        self._read: tuple[int, ...] | None = None
        self.latest: Expectations | None = None
        """What is in force; None if the file never said anything, or is not there any more."""
        self.problem: Problem | None = None
        """Why the present version of the file does not count."""

    def read(self) -> None:
        """Read the file if it is not the one that was read."""
        try:
            now = _version(self._path)
            if now != self._read:
                self._take()
            self._read = now
        except FileNotFoundError as error:
            self._read = None
            if self._optional:
                self._absent()
            else:
                self._refuse(error.strerror)
        except OSError as error:
            self._read = None
            self._refuse(error.strerror)

    def _absent(self) -> None:
        """Nothing is said; a ConfigMap that says it under another key is a mistake."""
        self.latest, self.problem = None, None
        others = _visible(self._path.parent)
        if others:
            self._refuse(f"expected the key {self._path.name}, got {', '.join(others)}"[:_MOST_CHARACTERS])

    def _take(self) -> None:
        try:
            content = read_file(self._path, _MOST_BYTES)
            self.latest, self.problem = expectations_in(content, self._path.name), None
        except (ReadError, ParseError) as error:
            self._refuse(str(error))

    def _refuse(self, reason: str | None) -> None:
        before = "" if self.latest is None else "; what it said before stays in force"
        subject = printable(str(self._path))[-limits.LONGEST_NAME :]
        self.problem = Problem(source=SOURCE, subject=subject, reason=printable(f"{reason}{before}"))


def _version(path: Path) -> tuple[int, ...]:
    """What differs when a file is written, replaced, or is a link to another: a ConfigMap's is."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is no file")
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _visible(folder: Path) -> list[str]:
    """What is in a folder, but for what the kubelet keeps there."""
    try:
        return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
