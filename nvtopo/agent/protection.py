"""Who may read the page, and how it is kept from those on the way: TLS and bearer tokens, from files that may change.

Certificates are rotated under a running agent, so both are looked at for each connection: a few ``stat`` calls.
"""

import hmac
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nvtopo.errors import ReadError
from nvtopo.kube.bearer import token_in

logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: str
    words: str


Authorize = Callable[[str], Refusal | None]
"""What ``Authorization`` says → why that is not enough; None where it is."""

_Stamp = tuple[tuple[int, int, int], ...]


class TlsFiles:
    """A certificate chain and its private key, both PEM. Call it for the context of the next connection."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """ReadError where they can't be used."""
        self._paths = (certificate, key)
        self._stamp = _stamp(*self._paths)
        self._context = self._load()
        self._failed: _Stamp | None = None

    def __call__(self) -> ssl.SSLContext:
        """The context; the one before where the files changed into something that is no certificate with its key."""
        try:
            stamp = _stamp(*self._paths)
            if stamp not in (self._stamp, self._failed):
                self._failed = stamp
                self._context, self._stamp = self._load(), stamp
                logger.info("certificate loaded", extra={"file": str(self._paths[0])})
        except ReadError as error:
            logger.warning("keeping the certificate before", extra={"reason": str(error)})
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


class TokenFile:
    """A file of bearer tokens, one a line: while one is rotated, the old and the new."""

    def __init__(self, path: Path) -> None:
        """ReadError where it can't be read, or holds none."""
        self._path = path
        self._stamp = _stamp(path)
        self._tokens = self._load()

    def __call__(self, authorization: str) -> Refusal | None:
        """Whether the header names one of them. A file that went or is empty lets nobody in."""
        token = token_in(authorization)
        if not token:
            return Refusal("401 Unauthorized", "expected a bearer token")
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._tokens, self._stamp = self._load(), stamp
        except ReadError as error:
            logger.warning("nobody is let in", extra={"reason": str(error)})
            return Refusal("503 Service Unavailable", "no tokens to compare with")
        given = token.encode()
        matches = [hmac.compare_digest(given, known) for known in self._tokens]
        return None if any(matches) else Refusal("401 Unauthorized", "this token is not known")

    def _load(self) -> tuple[bytes, ...]:
        try:
            tokens = tuple(line.strip() for line in self._path.read_bytes().splitlines() if line.strip())
        except OSError as error:
            raise ReadError(f"{self._path}: {error.strerror}") from error
        if not tokens:
            raise ReadError(f"{self._path}: expected a bearer token on each line, got none")
        return tokens


def _stamp(*paths: Path) -> _Stamp:
    """What changes with a file's content: a Secret's files are links, so another file is another inode."""
    try:
        found = [os.stat(path) for path in paths]  # noqa: PTH116 - as Path.stat, for several
    except OSError as error:
        raise ReadError(f"{error.filename}: {error.strerror}") from error
    return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def _no_password() -> str:
    """OpenSSL would ask the terminal."""
    raise ValueError("the key is encrypted")
