"""The only ``open`` below ``/sys`` and ``/proc``, under a root: ``/`` on a live host, a folder for a recorded one.

A file is *absent* (None) if it does not exist, or if its driver does not support it (EINVAL, EOPNOTSUPP, ENODEV: a link
that is down has no speed, an empty GID has no type). Every other failure (EACCES, EIO and others) is a ``Problem``.
"""

import errno
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nvtopo.model.formats.address import PciAddress, is_pci_address, parse_pci_address
from nvtopo.model.records.record import Problem

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
#: In ``/sys`` a read returns a page or the whole rest. Files of ``/proc`` come in pieces of any size.
_SMALLEST_PAGE_BYTES = 4096
#: More than any attribute holds; a cpuinfo comes in pieces. Far larger buffers are mapped anew for each file, which
#: costs four times as much as the file.
_PIECE_BYTES = 1 << 16
#: A file that is larger is none that the kernel or the kubelet writes: somebody put a device there.
_MOST_BYTES = 16 << 20


class SysfsRoot:
    """The root of ``/sys`` and ``/proc``. ``failures`` maps paths to errno numbers that a recorded machine returned."""

    def __init__(self, root: str = "/", failures: Mapping[str, int] | None = None) -> None:
        self._root = root.rstrip("/")
        self._failures = dict(failures or {})

    @property
    def live(self) -> bool:
        """Whether this is the machine that we run on, so that netlink, ioctl and sockets work too."""
        return not self._root and not self._failures

    def read(self, path: str, *, head: bool = False) -> bytes:
        """The content of the file; with ``head``, only the first piece. Raises the kernel's OSError."""
        self._fail(path)
        descriptor = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            chunks: list[bytes] = []
            size = 0
            while chunk := os.read(descriptor, _PIECE_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
                if head or (len(chunk) < _SMALLEST_PAGE_BYTES and path.startswith("/sys/")):
                    break
            return b"".join(chunks)
        finally:
            os.close(descriptor)

    def is_file(self, path: str) -> bool:
        """Whether there is an ordinary file, or what could not be opened anyway: no device, FIFO or socket."""
        try:
            mode = os.stat(self._root + path).st_mode  # noqa: PTH116 - as below
        except OSError:
            return True
        return not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))

    def is_socket(self, path: str) -> bool:
        """Whether there is a socket."""
        try:
            return stat.S_ISSOCK(os.stat(self._root + path).st_mode)  # noqa: PTH116 - as below
        except OSError:
            return False

    def names(self, path: str) -> list[str]:
        """The names in the directory, sorted."""
        self._fail(path)
        return sorted(os.listdir(self._root + path))  # noqa: PTH208 - pathlib costs start-up and a stat

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name."""
        return os.path.exists(self._root + path)  # noqa: PTH110 - pathlib costs a start's time

    def target(self, path: str) -> str:
        """The target of the symbolic link, unresolved."""
        self._fail(path)
        return os.readlink(self._root + path)  # noqa: PTH115 - as above

    def connect(self, path: str, seconds: float) -> "socket":
        """Connect to the unix socket at the path within ``seconds``. Raises the kernel's OSError."""
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
    """A source's view of the root. Absent files give None; failures give None and are added to ``problems``."""

    def __init__(self, root: SysfsRoot, source: str) -> None:
        self._root = root
        self._source = source
        self.problems: list[Problem] = []

    def text(self, path: str) -> str | None:
        """The attribute's text, stripped."""
        content = self.content(path)
        return None if content is None else content.decode("utf-8", "replace").strip()

    def content(self, path: str, *, head: bool = False) -> bytes | None:
        """The file's bytes, or the first piece of them."""
        try:
            return self._root.read(path, head=head)
        except OSError as error:
            self._note(path, error)
            return None

    def is_file(self, path: str) -> bool:
        """Whether it may be opened; a device, a FIFO and a socket are a problem."""
        if self._root.is_file(path):
            return True
        self.problem(path, "expected a file")
        return False

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
        """The names in the directory, sorted; empty if it does not exist."""
        try:
            return self._root.names(path)
        except OSError as error:
            self._note(path, error)
            return []

    def target(self, path: str) -> str | None:
        """The target of the symbolic link."""
        try:
            return self._root.target(path)
        except OSError as error:
            self._note(path, error)
            return None

    def basename(self, path: str) -> str | None:
        """The last component of the symbolic link's target."""
        target = self.target(path)
        return None if target is None else target.rsplit("/", 1)[-1]

    def pci_function(self, path: str) -> PciAddress | None:
        """The nearest PCI function above the device that a symbolic link points to; None for virtual devices.

        A virtio NIC's ``device`` is ``…/0000:00:03.0/virtio2``, an mlx5 sub-function's is on the auxiliary bus: the
        last component is not always the function.
        """
        target = self.target(path)
        for component in reversed((target or "").split("/")):
            if is_pci_address(component):
                return parse_pci_address(component)
        return None

    def problem(self, subject: str, reason: str) -> None:
        """Add a problem: ``subject`` should have been readable and was not."""
        self.problems.append(Problem(source=self._source, subject=subject, reason=reason))

    def _note(self, path: str, error: OSError) -> None:
        if error.errno not in _ABSENT:
            self.problem(path, os.strerror(error.errno) if error.errno else str(error))
