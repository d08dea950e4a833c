"""What a check of a request gives."""

from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple


class AccessDenied(NamedTuple):
    """Why a request is not answered."""

    status: HTTPStatus
    reason: str
    """One line for the caller."""
    retry_after_seconds: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The response's headers."""
        found = {}
        if self.status is HTTPStatus.UNAUTHORIZED:
            found["WWW-Authenticate"] = "Bearer"
        if self.retry_after_seconds is not None:
            found["Retry-After"] = str(self.retry_after_seconds)
        return found


Authorize = Callable[[str, str], AccessDenied | None]
"""The ``Authorization`` header and the client's address → why access is denied, or None."""
