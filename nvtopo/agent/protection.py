"""Who may read the page: bearers of a token from a file, which may change under a running agent."""

import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from nvtopo.errors import ReadError
from nvtopo.kube.bearer import token_in
from nvtopo.tls import stamp

logger = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: str
    words: str


Authorize = Callable[[str], Refusal | None]
"""What ``Authorization`` says → why that is not enough; None where it is."""


class TokenFile:
    """A file of bearer tokens, one a line: while one is rotated, the old and the new."""

    def __init__(self, path: Path) -> None:
        """ReadError where it can't be read, or holds none."""
        self._path = path
        self._stamp = stamp(path)
        self._tokens = self._load()

    def __call__(self, authorization: str) -> Refusal | None:
        """Whether the header names one of them. A file that went or is empty lets nobody in."""
        token = token_in(authorization)
        if not token:
            return Refusal("401 Unauthorized", "expected a bearer token")
        try:
            now = stamp(self._path)
            if now != self._stamp:
                self._tokens, self._stamp = self._load(), now
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
