"""Who may read the page: bearers of a token from a file, which may change under a running agent."""

import hmac
import logging
from http import HTTPStatus
from pathlib import Path
from typing import Final

from nvtopo.auth.bearer import token_in
from nvtopo.auth.decision import AccessDenied
from nvtopo.errors import ReadError
from nvtopo.tls import stamp
from nvtopo.wire.files import read_file

logger = logging.getLogger(__name__)

_LARGEST_BYTES: Final = 1 << 20


class TokenFile:
    """A file of bearer tokens, one on each line, so that it can hold the old and the new one during a rotation."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ReadError: it can't be read, or has no token.
        """
        self._path = path
        self._stamp = stamp(path)
        self._tokens = self._load()
        self._said = ""

    def __call__(self, authorization: str, _address: str) -> AccessDenied | None:
        """Whether the header names one of them. If the file is missing or empty, no token is accepted."""
        token = token_in(authorization)
        if not token:
            return AccessDenied(HTTPStatus.UNAUTHORIZED, "expected a bearer token")
        try:
            now = stamp(self._path)
            if now != self._stamp:
                self._tokens, self._stamp = self._load(), now
        except ReadError as error:
            if self._said != str(error):  # not for each request: a stranger may send many
                self._said = str(error)
                logger.warning("no token is accepted", extra={"reason": self._said})
            return AccessDenied(HTTPStatus.SERVICE_UNAVAILABLE, "no tokens to compare with")
        self._said = ""
        given = token.encode()
        matches = [hmac.compare_digest(given, known) for known in self._tokens]
        return None if any(matches) else AccessDenied(HTTPStatus.UNAUTHORIZED, "this token is not known")

    def _load(self) -> tuple[bytes, ...]:
        content = read_file(self._path, _LARGEST_BYTES)
        tokens = tuple(line.strip() for line in content.splitlines() if line.strip())
        if not tokens:
            raise ReadError(f"{self._path}: expected a bearer token on each line, got none")
        return tokens
