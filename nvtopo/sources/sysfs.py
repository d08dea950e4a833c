"""The only ``open`` below ``/sys`` and ``/proc``, under a root: ``/`` on a live host, a folder for a recorded one.

Three kinds of "not there" are told apart. A file that does not exist, and one whose driver answers that it does not
support it (EINVAL, EOPNOTSUPP, ENODEV: a link that is down has no speed, an empty GID has no type), is *absent*: None.
Everything else that fails (EACCES, EIO, …) is a ``Problem``.
"""

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nvtopo.model.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.record import Problem

if TYPE_CHECKING:
    from socket import socket

_ABSENT = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENODEV,
        errno.ENXIO,
        errno.EINVAL,
        errno.EOPNOTSUPP,
    }
)
#: Below ``/sys`` a read gives a page or all that is left. Files of ``/proc`` come in pieces of any size.
_SMALLEST_PAGE_BYTES = 4096
#: More than any attribute holds; a cpuinfo comes in pieces. Far larger buffers are mapped anew for each file, which
#: costs four times as much as the file.
_PIECE_BYTES = 1 << 16


class SysfsRoot:
    """Where ``/sys`` and ``/proc`` are. ``failures`` maps paths to errno numbers that a recorded machine gave."""

    def __init__(self, root: str = "/", failures: Mapping[str, int] | None = None) -> None:
        self._root = root.rstrip("/")
        self._failures = dict(failures or {})

    @property
    def live(self) -> bool:
        """Whether this is the machine we run on, which can be asked by more than its files."""
        return not self._root and not self._failures

    def read(self, path: str, *, head: bool = False) -> bytes:
        """The content of the file, or the first piece of it that the kernel gives; OSError as the kernel gave it."""
        self._fail(path)
        descriptor = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            chunks = []
            while chunk := os.read(descriptor, _PIECE_BYTES):
                chunks.append(chunk)
                if head or (len(chunk) < _SMALLEST_PAGE_BYTES and path.startswith("/sys/")):
                    break
            return b"".join(chunks)
        finally:
            os.close(descriptor)

    def names(self, path: str) -> list[str]:
        """What the directory holds, in order."""
        self._fail(path)
        return sorted(os.listdir(self._root + path))  # noqa: PTH208 - pathlib costs start-up and a stat

    def target(self, path: str) -> str:
        """What the symbolic link says, unresolved."""
        self._fail(path)
        return os.readlink(self._root + path)  # noqa: PTH115 - as above

    def connect(self, path: str, seconds: float) -> "socket":
        """A connection to the unix socket at the path; OSError as the kernel gave it, within ``seconds``."""
        from socket import AF_UNIX, SOCK_STREAM, socket  # a one-shot dump opens none

        self._fail(path)
        connection = socket(AF_UNIX, SOCK_STREAM)
        try:
            connection.settimeout(seconds)
            connection.connect(self._root + path)
        except OSError:
            connection.close()
            raise
        return connection

    def _fail(self, path: str) -> None:
        number = self._failures.get(path)
        if number is not None:
            raise OSError(number, os.strerror(number), path)


class SysfsReader:
    """A source's view of the root: absent is None, a failure is noted in ``problems`` and is None as well."""

    def __init__(self, root: SysfsRoot, source: str) -> None:
        self._root = root
        self._source = source
        self.problems: list[Problem] = []

    def text(self, path: str) -> str | None:
        """The attribute without surrounding blanks."""
        content = self.content(path)
        return None if content is None else content.decode("utf-8", "replace").strip()

    def content(self, path: str, *, head: bool = False) -> bytes | None:
        """The file's bytes, or the first piece of them."""
        try:
            return self._root.read(path, head=head)
        except OSError as error:
            self._note(path, error)
            return None

    def integer(self, path: str) -> int | None:
        """The attribute as a number (``0x`` is understood); negative means unknown to the kernel, so None."""
        text = self.text(path)
        if not text:
            return None
        try:
            number = int(text, 0)
        except ValueError:
            self.problem(path, f"expected a number, got {text[:40]!r}")
            return None
        return number if number >= 0 else None

    def names(self, path: str) -> list[str]:
        """What the directory holds, in order; empty where it does not exist."""
        try:
            return self._root.names(path)
        except OSError as error:
            self._note(path, error)
            return []

    def target(self, path: str) -> str | None:
        """What the symbolic link says."""
        try:
            return self._root.target(path)
        except OSError as error:
            self._note(path, error)
            return None

    def basename(self, path: str) -> str | None:
        """The last component of what the symbolic link says."""
        target = self.target(path)
        return None if target is None else target.rsplit("/", 1)[-1]

    def pci_function(self, path: str) -> PciAddress | None:
        """The nearest PCI function that the device behind a symbolic link stands on; None for virtual devices.

        A virtio NIC's ``device`` is ``…/0000:00:03.0/virtio2``, an mlx5 sub-function's is on the auxiliary bus: the
        last component is not always the function.
        """
        target = self.target(path)
        for component in reversed((target or "").split("/")):
            if is_pci_address(component):
                return parse_pci_address(component)
        return None

    def problem(self, subject: str, reason: str) -> None:
        """Note that something should have been readable and was not."""
        self.problems.append(Problem(source=self._source, subject=subject, reason=reason))

    def _note(self, path: str, error: OSError) -> None:
        if error.errno not in _ABSENT:
            self.problem(path, os.strerror(error.errno) if error.errno else str(error))
