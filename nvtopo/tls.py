"""TLS of what we serve, from files that are rotated under a running program: looked at for each connection."""

import logging
import os
import ssl
import stat
from pathlib import Path

from nvtopo.errors import ReadError

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class TlsFiles:
    """A certificate chain and its private key, both PEM. Call it for the context of the next connection."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """ReadError where they can't be used."""
        self._paths = (certificate, key)
        self._stamp = stamp(*self._paths)
        self._context = self._load()
        self._failed: Stamp | None = None
        self._said = ""

    def __call__(self) -> ssl.SSLContext:
        """The context; the one before where the files changed into something that is no certificate with its key."""
        try:
            now = stamp(*self._paths)
            if now not in (self._stamp, self._failed):
                self._failed = now
                self._context, self._stamp = self._load(), now
                logger.info("certificate loaded", extra={"file": str(self._paths[0])})
                self._said = ""
        except ReadError as error:
            if self._said != str(error):  # not for each connection: a stranger may open many
                self._said = str(error)
                logger.warning("keeping the certificate before", extra={"reason": self._said})
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self._paths, password=_no_password)
        except (OSError, ValueError) as error:
            certificate, key = self._paths
            raise ReadError(f"{certificate}: expected a certificate, and its key in {key}: {error}") from error
        return context


def stamp(*paths: Path) -> Stamp:
    """What changes with a file's content: a Secret's files are links, so another file is another inode."""
    try:
        found = [os.stat(path) for path in paths]  # noqa: PTH116 - as Path.stat, for several
    except OSError as error:
        raise ReadError(f"{error.filename}: {error.strerror}") from error
    for path, one in zip(paths, found, strict=True):
        if not stat.S_ISREG(one.st_mode):  # opening a FIFO would wait for who writes to it
            raise ReadError(f"{path}: expected a file, got a FIFO, a device, a socket or a directory")
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def _no_password() -> str:
    """OpenSSL would ask the terminal."""
    raise ValueError("the key is encrypted")
